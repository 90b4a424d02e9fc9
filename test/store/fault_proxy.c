/*
 * One thread moves the bytes of all connections; the test's threads only arm it.
 */
#include "fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../cmocka_all.h"

enum { PAIRS = 256, CHUNK = 65536 };

struct pair {
    int client, server;
    bool loses_answer, is_stalled;
};

struct fault_proxy {
    pthread_t thread;
    int listener, port, server_port, wake[2];
    struct pair pair[PAIRS]; /* the thread's own; client -1: free */
    atomic_bool stop, cut;
    pthread_mutex_t mu;
    enum fault fault; /* guarded by: mu */
    const char *word; /* guarded by: mu */
    int times, count; /* guarded by: mu */
};

static struct sockaddr_in local(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
}

static void close_pair(struct pair *p) {
    close(p->client);
    close(p->server);
    *p = (struct pair){.client = -1, .server = -1};
}

static void accept_one(struct fault_proxy *p) {
    struct sockaddr_in at = local(p->server_port);
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), server;

    if (client < 0)
        return;
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < PAIRS; i++)
        if (p->pair[i].client < 0 &&
            connect(server, (struct sockaddr *)&at, sizeof(at)) == 0) {
            p->pair[i] = (struct pair){client, server, false, false};
            return;
        }
    close(client);
    close(server);
}

static bool send_all(int fd, const char *data, ssize_t len) {
    while (len > 0) {
        ssize_t n = send(fd, data, (size_t)len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= n;
    }
    return true;
}

/* Does this request meet the fault? */
static bool meets(struct fault_proxy *p, const char *data, ssize_t len,
                  enum fault *ret_fault) {
    bool yes;

    pthread_mutex_lock(&p->mu);
    yes = p->times > 0 && memmem(data, (size_t)len, p->word, strlen(p->word));
    if (yes) {
        p->times--;
        p->count++;
        *ret_fault = p->fault;
    }
    pthread_mutex_unlock(&p->mu);
    return yes;
}

static void from_client(struct fault_proxy *p, struct pair *c, char *data) {
    ssize_t n = recv(c->client, data, CHUNK, 0);
    enum fault fault;

    if (n <= 0) {
        close_pair(c);
        return;
    }
    if (c->is_stalled)
        return;
    if (meets(p, data, n, &fault)) {
        if (fault == FAULT_LOSE_REQUEST) {
            close_pair(c);
            return;
        }
        c->loses_answer = fault == FAULT_LOSE_ANSWER;
        c->is_stalled = fault == FAULT_STALL;
    }
    if (!send_all(c->server, data, n))
        close_pair(c);
}

static void from_server(struct pair *c, char *data) {
    ssize_t n = recv(c->server, data, CHUNK, 0);

    if (c->is_stalled && n > 0)
        return;
    if (n <= 0 || c->loses_answer || !send_all(c->client, data, n))
        close_pair(c);
}

static size_t list(struct fault_proxy *p, struct pollfd *fds, struct pair **of) {
    size_t n = 0;

    fds[n++] = (struct pollfd){p->wake[0], POLLIN, 0};
    fds[n++] = (struct pollfd){p->listener, POLLIN, 0};
    for (int i = 0; i < PAIRS; i++)
        if (p->pair[i].client >= 0) {
            of[n] = &p->pair[i];
            fds[n++] = (struct pollfd){p->pair[i].client, POLLIN, 0};
            of[n] = &p->pair[i];
            fds[n++] = (struct pollfd){p->pair[i].server, POLLIN, 0};
        }
    return n;
}

static void *run(void *arg) {
    struct fault_proxy *p = arg;
    struct pollfd *fds = calloc(2 * PAIRS + 2, sizeof(*fds));
    struct pair **of = calloc(2 * PAIRS + 2, sizeof(*of));
    char *data = malloc(CHUNK), byte;

    while (!atomic_load(&p->stop)) {
        size_t n = list(p, fds, of);

        if (poll(fds, n, -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents && read(p->wake[0], &byte, 1) == 1 &&
            atomic_exchange(&p->cut, false))
            for (int i = 0; i < PAIRS; i++)
                if (p->pair[i].client >= 0)
                    close_pair(&p->pair[i]);
        for (size_t i = 2; i < n; i++) {
            if (!fds[i].revents)
                continue;
            if (of[i]->client == fds[i].fd)
                from_client(p, of[i], data);
            else if (of[i]->server == fds[i].fd)
                from_server(of[i], data);
        }
        if (fds[1].revents)
            accept_one(p);
    }
    for (int i = 0; i < PAIRS; i++)
        if (p->pair[i].client >= 0)
            close_pair(&p->pair[i]);
    free(data);
    free(of);
    free(fds);
    return NULL;
}

struct fault_proxy *fault_proxy_start(int port) {
    struct fault_proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = local(0);
    socklen_t len = sizeof(at);

    for (int i = 0; i < PAIRS; i++)
        p->pair[i].client = p->pair[i].server = -1;
    p->server_port = port;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(p->listener, 64), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(pipe2(p->wake, O_CLOEXEC), 0);
    pthread_mutex_init(&p->mu, NULL);
    assert_int_equal(pthread_create(&p->thread, NULL, run, p), 0);
    return p;
}

int fault_proxy_port(const struct fault_proxy *p) {
    return p->port;
}

void fault_proxy_arm(struct fault_proxy *p, enum fault fault, const char *word,
                     int times) {
    pthread_mutex_lock(&p->mu);
    p->fault = fault;
    p->word = word;
    p->times = times;
    pthread_mutex_unlock(&p->mu);
}

int fault_proxy_count(struct fault_proxy *p) {
    int n;

    pthread_mutex_lock(&p->mu);
    n = p->count;
    pthread_mutex_unlock(&p->mu);
    return n;
}

static void wake(struct fault_proxy *p) {
    assert_int_equal(write(p->wake[1], "x", 1), 1);
}

void fault_proxy_cut(struct fault_proxy *p) {
    atomic_store(&p->cut, true);
    wake(p);
}

void fault_proxy_stop(struct fault_proxy **pp) {
    struct fault_proxy *p = *pp;

    atomic_store(&p->stop, true);
    wake(p);
    pthread_join(p->thread, NULL);
    close(p->listener);
    close(p->wake[0]);
    close(p->wake[1]);
    pthread_mutex_destroy(&p->mu);
    free(p);
    *pp = NULL;
}
