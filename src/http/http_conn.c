/*
 * http_conn.c - deadlines of connections.
 *
 * libmicrohttpd only knows an inactivity time-out, which a byte now and then resets. So
 * each connection carries a state and an absolute deadline, and one thread looks at all
 * of them every TICK_MS. A late one is moved to DEAD (so that the network thread, should
 * the request complete just then, drops it), gets a plain 408 where a request had begun,
 * and is shut down; libmicrohttpd then sees its end and closes it.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "http_address.h"
#include "http_server_priv.h"

enum { TICK_MS = 250 };

int64_t conn_now_us(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t conn_now_ms(void) {
    return conn_now_us() / 1000;
}

static int timeout_of(const struct conn_watch *w, enum conn_state state) {
    switch (state) {
    case CONN_NEW:
    case CONN_HEADERS:
        return w->headers_timeout_ms;
    case CONN_IDLE:
        return w->keepalive_timeout_ms;
    case CONN_BODY:
        return w->request_timeout_ms;
    default:
        return 0;
    }
}

struct conn *conn_open(struct conn_watch *w, int fd, const void *sockaddr) {
    const struct sockaddr *sa = sockaddr;
    struct conn *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->fd = fd;
    c->state = CONN_NEW;
    c->deadline_ms = conn_now_ms() + w->headers_timeout_ms;
    http_address_text(sa, c->ip, sizeof(c->ip));
    c->ip_is_private = http_address_class(sa) != ADDRESS_PUBLIC;
    pthread_mutex_lock(&w->mu);
    c->next = w->first;
    if (c->next)
        c->next->prev = c;
    w->first = c;
    w->count++;
    pthread_mutex_unlock(&w->mu);
    return c;
}

void conn_close(struct conn_watch *w, struct conn *c) {
    pthread_mutex_lock(&w->mu);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->count--;
    pthread_mutex_unlock(&w->mu);
    free(c);
}

bool conn_enter(struct conn_watch *w, struct conn *c, enum conn_state state) {
    int now = atomic_load_explicit(&c->state, memory_order_relaxed);
    int timeout_ms = timeout_of(w, state);

    if (timeout_ms)
        atomic_store_explicit(&c->deadline_ms, conn_now_ms() + timeout_ms,
                              memory_order_relaxed);
    do {
        if (now == CONN_DEAD)
            return false;
    } while (!atomic_compare_exchange_weak(&c->state, &now, state));
    return true;
}

/* Whether the peer of a new connection has sent anything. */
static bool has_received(int fd) {
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           info.tcpi_bytes_received > 0;
}

/* Under the lock, which keeps the descriptor open. */
static void end_late(struct conn_watch *w, struct conn *c, int state) {
    if (!atomic_compare_exchange_strong(&c->state, &state, CONN_DEAD))
        return;
    if (state == CONN_HEADERS || state == CONN_BODY ||
        (state == CONN_NEW && has_received(c->fd)))
        (void)!send(c->fd, w->late_reply, strlen(w->late_reply),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(c->fd, SHUT_RDWR);
}

static void *watch(void *arg) {
    struct conn_watch *w = arg;

    pthread_mutex_lock(&w->mu);
    while (!w->stop) {
        int64_t now = conn_now_ms();
        struct timespec until;

        for (struct conn *c = w->first, *next; c; c = next) {
            int state = atomic_load(&c->state);

            next = c->next;
            if (state < CONN_BUSY && c->deadline_ms <= now)
                end_late(w, c, state);
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->wake, &w->mu, &until);
    }
    pthread_mutex_unlock(&w->mu);
    return NULL;
}

int conn_watch_start(struct conn_watch *w) {
    pthread_condattr_t monotonic;

    pthread_mutex_init(&w->mu, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return pthread_create(&w->thread, NULL, watch, w) ? -1 : 0;
}

void conn_watch_stop(struct conn_watch *w) {
    pthread_mutex_lock(&w->mu);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mu);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->mu);
}

void conn_end_idle(struct conn_watch *w) {
    pthread_mutex_lock(&w->mu);
    for (struct conn *c = w->first; c; c = c->next) {
        int idle = CONN_IDLE;

        if (atomic_compare_exchange_strong(&c->state, &idle, CONN_DEAD))
            shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&w->mu);
}

void conn_end_all(struct conn_watch *w) {
    pthread_mutex_lock(&w->mu);
    for (struct conn *c = w->first; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&w->mu);
}
