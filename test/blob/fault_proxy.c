#include "fault_proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 500 };

struct relay {
    struct fault_proxy *proxy;
    int client, server;
    enum fault fault;
    size_t after, seen;
    pthread_t thread;
};

struct fault_proxy {
    int listener, port, upstream;
    int wake[2]; /* closed for writing at the end: every thread polls it */
    pthread_t thread;
    pthread_mutex_t mu;
    int left, spoilt;                     /* guarded by: mu */
    enum fault fault;                     /* guarded by: mu */
    size_t after;                         /* guarded by: mu */
    struct relay relays[MAX_CONNECTIONS]; /* of the listener's thread */
    size_t relays_len;
};

static struct sockaddr_in local(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void reset(int fd) {
    struct linger now = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static bool send_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_slowly(int fd, const char *data, size_t len) {
    struct timespec ms = {0, 1000000};

    for (size_t n; len > 0; data += n, len -= n) {
        n = len < 1000 ? len : 1000;
        if (!send_all(fd, data, n))
            return false;
        nanosleep(&ms, NULL);
    }
    return true;
}

/* False to end the connection. */
static bool pass(struct relay *r, int from, int to, bool is_answer) {
    bool counts = is_answer ? r->fault == FAULT_CUT || r->fault == FAULT_STALL
                            : r->fault == FAULT_CUT_REQUEST;
    char data[16384];
    ssize_t n = recv(from, data, sizeof(data), 0);

    if (n <= 0)
        return false;
    if (counts && r->seen + (size_t)n > r->after)
        n = (ssize_t)(r->after - r->seen);
    r->seen += counts ? (size_t)n : 0;
    if (is_answer && r->fault == FAULT_SLOW)
        return send_slowly(to, data, (size_t)n);
    if (n > 0 && !send_all(to, data, (size_t)n))
        return false;
    if (!counts || r->seen < r->after)
        return true;
    if (r->fault == FAULT_STALL) {
        r->after = 0;
        return true; /* the loop no longer reads answers */
    }
    reset(r->client);
    reset(r->server);
    return false;
}

static void *relay(void *arg) {
    struct relay *r = arg;

    for (;;) {
        bool stalled = r->fault == FAULT_STALL && r->after == 0;
        struct pollfd fds[] = {{r->proxy->wake[0], POLLIN, 0},
                               {r->client, POLLIN, 0},
                               {stalled ? -1 : r->server, POLLIN, 0}};

        if (poll(fds, 3, -1) < 0 || fds[0].revents)
            break;
        if (fds[1].revents && !pass(r, r->client, r->server, false))
            break;
        if (fds[2].revents && !pass(r, r->server, r->client, true))
            break;
    }
    close(r->client);
    close(r->server);
    return NULL;
}

static void take(struct fault_proxy *p, int client) {
    struct sockaddr_in sa = local(p->upstream);
    struct relay *r;

    if (p->relays_len == MAX_CONNECTIONS)
        abort();
    r = &p->relays[p->relays_len];
    *r = (struct relay){.proxy = p, .client = client};
    pthread_mutex_lock(&p->mu);
    if (p->left > 0) {
        p->left--;
        p->spoilt++;
        r->fault = p->fault;
        r->after = p->after;
    }
    pthread_mutex_unlock(&p->mu);
    r->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(r->server, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        pthread_create(&r->thread, NULL, relay, r) != 0) {
        close(client);
        close(r->server);
        return;
    }
    p->relays_len++;
}

static void *listen_on(void *arg) {
    struct fault_proxy *p = arg;

    for (;;) {
        struct pollfd fds[] = {{p->wake[0], POLLIN, 0}, {p->listener, POLLIN, 0}};
        int client;

        if (poll(fds, 2, -1) < 0 || fds[0].revents)
            return NULL;
        if ((client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
            take(p, client);
    }
}

struct fault_proxy *fault_proxy_start(int port) {
    struct fault_proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in sa = local(0);
    socklen_t len = sizeof(sa);

    if (!p || pipe(p->wake) < 0)
        abort();
    p->upstream = port;
    pthread_mutex_init(&p->mu, NULL);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(p->listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        listen(p->listener, 50) < 0 ||
        getsockname(p->listener, (struct sockaddr *)&sa, &len) < 0)
        abort();
    p->port = ntohs(sa.sin_port);
    if (pthread_create(&p->thread, NULL, listen_on, p) != 0)
        abort();
    return p;
}

int fault_proxy_port(const struct fault_proxy *p) {
    return p->port;
}

void fault_proxy_spoil(struct fault_proxy *p, int n, enum fault fault, size_t after) {
    pthread_mutex_lock(&p->mu);
    p->left = n;
    p->fault = fault;
    p->after = after;
    pthread_mutex_unlock(&p->mu);
}

int fault_proxy_spoilt(struct fault_proxy *p) {
    int n;

    pthread_mutex_lock(&p->mu);
    n = p->spoilt;
    pthread_mutex_unlock(&p->mu);
    return n;
}

void fault_proxy_stop(struct fault_proxy **proxy) {
    struct fault_proxy *p = *proxy;

    close(p->wake[1]);
    pthread_join(p->thread, NULL);
    for (size_t i = 0; i < p->relays_len; i++)
        pthread_join(p->relays[i].thread, NULL);
    close(p->listener);
    close(p->wake[0]);
    pthread_mutex_destroy(&p->mu);
    free(p);
    *proxy = NULL;
}
