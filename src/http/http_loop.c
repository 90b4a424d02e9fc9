/*
 * http_loop.c - epoll under curl_multi_socket_action.
 *
 * curl_multi_perform walks all transfers and curl_multi_poll all sockets on each turn,
 * which 5,000 waiting calls make expensive; this interface touches only what happened.
 * libcurl stops watching a socket between two requests on it. Its registration is kept
 * then (the next request wants the same events most of the time) and only dropped when
 * an event comes that nobody waits for, or when the socket is closed.
 *
 * A multi handle looks for a connection to reuse by walking all that it has to the host.
 * So a reach is served by as many multi handles as are needed to give none more than
 * SHARD transfers: one in quiet times, so that connections are found again.
 */
#include "http_loop.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 128, SHARD = 128, MAX_SHARDS = 128 };

struct watched {
    uint32_t registered, wanted; /* EPOLLIN, EPOLLOUT; 0: none */
    struct multi *multi;
};

struct multi {
    struct http_loop *loop;
    CURLM *curl;      /* NULL until it is needed */
    int64_t timer_ms; /* monotonic; -1: none */
    size_t active;
};

struct http_loop {
    struct multi multi[HTTP_REACHES][MAX_SHARDS];
    size_t shards, per_shard, per_host;
    int epoll_fd, wake_fd;
    struct watched *watched; /* by descriptor */
    size_t watched_len;
    pthread_t thread;
    pthread_mutex_t mu;
    struct http_transfer *first, *last; /* commands; guarded by: mu */
    bool woken;                         /* guarded by: mu */
    bool stop;                          /* guarded by: mu */
    struct http_transfer *active;       /* of the loop's thread */
};

static int64_t now_ms(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- sockets ---- */

static struct watched *watched_at(struct http_loop *l, int fd) {
    if ((size_t)fd >= l->watched_len) {
        size_t len = l->watched_len ? l->watched_len : 256;

        while (len <= (size_t)fd)
            len *= 2;
        l->watched = realloc(l->watched, len * sizeof(*l->watched));
        if (!l->watched)
            abort();
        for (size_t i = l->watched_len; i < len; i++)
            l->watched[i] = (struct watched){0};
        l->watched_len = len;
    }
    return &l->watched[fd];
}

static void register_events(struct http_loop *l, int fd, struct watched *w,
                            uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    int op = !events ? EPOLL_CTL_DEL : w->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (w->registered == events)
        return;
    if (epoll_ctl(l->epoll_fd, op, fd, &ev) < 0 && op == EPOLL_CTL_MOD && errno == ENOENT)
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    w->registered = events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *ctx2) {
    struct multi *m = ctx;
    struct watched *w = watched_at(m->loop, fd);

    (void)easy, (void)ctx2;
    w->wanted = what == CURL_POLL_REMOVE
                    ? 0
                    : (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                          (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    w->multi = m;
    if (w->wanted)
        register_events(m->loop, fd, w, w->wanted);
    return 0;
}

int http_loop_close_socket(void *loop, curl_socket_t fd) {
    struct http_loop *l = loop;

    if ((size_t)fd < l->watched_len)
        l->watched[fd] = (struct watched){0};
    return close(fd);
}

static int on_timer(CURLM *curl, long ms, void *ctx) {
    struct multi *m = ctx;

    (void)curl;
    m->timer_ms = ms < 0 ? -1 : now_ms() + ms;
    return 0;
}

/* ---- transfers ---- */

/*
 * The futex word is the flag itself: after it is set the owner may free the transfer, and
 * a late wake-up of freed memory is at worst a spurious one of somebody else. A condition
 * variable would be touched after the owner has gone, or woken into a held mutex.
 */
static void raise_flag(struct http_transfer *t, uint32_t flag) {
    atomic_fetch_or(&t->state, flag);
    syscall(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void http_transfer_tell(struct http_transfer *t) {
    atomic_fetch_add(&t->state, TRANSFER_NEWS);
    syscall(SYS_futex, &t->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void http_transfer_wait_news(struct http_transfer *t, uint32_t seen) {
    while (atomic_load(&t->state) == seen)
        syscall(SYS_futex, &t->state, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void activate(struct http_loop *l, struct http_transfer *t) {
    t->active = true;
    t->prev_active = NULL;
    t->next_active = l->active;
    if (l->active)
        l->active->prev_active = t;
    l->active = t;
}

/* The easy handle is its owner's again, and so is t unless a command is to come. */
static void finish(struct http_loop *l, struct http_transfer *t, CURLcode result) {
    if (t->active) {
        curl_multi_remove_handle(t->multi->curl, t->easy);
        t->multi->active--;
        if (t->prev_active)
            t->prev_active->next_active = t->next_active;
        else
            l->active = t->next_active;
        if (t->next_active)
            t->next_active->prev_active = t->prev_active;
        t->active = false;
    }
    t->result = result;
    raise_flag(t, TRANSFER_DONE);
}

static void collect_finished(struct multi *m) {
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(m->curl, &left))) {
        struct http_transfer *t;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(m->loop, t, msg->data.result);
    }
}

static void open_multi(struct http_loop *l, struct multi *m) {
    m->loop = l;
    m->curl = curl_multi_init();
    if (!m->curl)
        abort();
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)l->per_shard);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, (long)l->per_shard);
    curl_multi_setopt(m->curl, CURLMOPT_MAX_HOST_CONNECTIONS, (long)l->per_host);
}

/* The first with room, or the one with the fewest when all are full. */
static struct multi *choose_multi(struct http_loop *l, enum http_reach reach) {
    struct multi *best = &l->multi[reach][0];

    for (size_t i = 0; i < l->shards; i++) {
        struct multi *m = &l->multi[reach][i];

        if (m->active < l->per_shard) {
            best = m;
            break;
        }
        if (m->active < best->active)
            best = m;
    }
    if (!best->curl)
        open_multi(l, best);
    return best;
}

static void start(struct http_loop *l, struct http_transfer *t) {
    activate(l, t);
    t->multi = choose_multi(l, t->reach);
    t->multi->active++;
    if (curl_multi_add_handle(t->multi->curl, t->easy) != CURLM_OK)
        finish(l, t, CURLE_FAILED_INIT);
}

static void release(struct http_loop *l, struct http_transfer *t) {
    if (!http_transfer_is_done(t))
        finish(l, t, CURLE_ABORTED_BY_CALLBACK);
    raise_flag(t, TRANSFER_RELEASED);
}

static void obey(struct http_loop *l, struct http_transfer *t, int command, bool stop) {
    if (command == TRANSFER_CANCEL)
        release(l, t);
    else if (command == TRANSFER_UNPAUSE && t->active)
        curl_easy_pause(t->easy, CURLPAUSE_CONT);
    else if (command == TRANSFER_START && !stop)
        start(l, t);
    else if (command == TRANSFER_START)
        finish(l, t, CURLE_ABORTED_BY_CALLBACK);
}

/* False when the loop shall end. */
static bool obey_commands(struct http_loop *l) {
    bool stop;

    pthread_mutex_lock(&l->mu);
    l->woken = false;
    stop = l->stop;
    while (l->first) {
        struct http_transfer *t = l->first;
        int command = t->command;

        l->first = t->next;
        if (!l->first)
            l->last = NULL;
        t->queued = false;
        pthread_mutex_unlock(&l->mu);
        obey(l, t, command, stop);
        pthread_mutex_lock(&l->mu);
    }
    pthread_mutex_unlock(&l->mu);
    while (stop && l->active)
        finish(l, l->active, CURLE_ABORTED_BY_CALLBACK);
    return !stop;
}

static int timeout_ms(const struct http_loop *l) {
    int64_t first = -1, now = now_ms();

    for (int r = 0; r < HTTP_REACHES; r++)
        for (size_t i = 0; i < l->shards && l->multi[r][i].curl; i++) {
            int64_t at = l->multi[r][i].timer_ms;

            if (at >= 0 && (first < 0 || at < first))
                first = at;
        }
    if (first < 0)
        return -1;
    return first <= now ? 0 : first - now > 60000 ? 60000 : (int)(first - now);
}

static void on_event(struct http_loop *l, const struct epoll_event *ev) {
    int fd = ev->data.fd, running;
    struct watched *w = watched_at(l, fd);
    int mask = (ev->events & EPOLLIN ? CURL_CSELECT_IN : 0) |
               (ev->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (ev->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

    if (!w->wanted)
        register_events(l, fd, w, 0);
    else
        curl_multi_socket_action(w->multi->curl, fd, mask, &running);
}

static void serve_multi(struct multi *m, int64_t now) {
    int running;

    if (m->timer_ms >= 0 && m->timer_ms <= now) {
        m->timer_ms = -1;
        curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect_finished(m);
}

static void *run(void *arg) {
    struct http_loop *l = arg;
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(l->epoll_fd, events, EVENTS, timeout_ms(l));
        int64_t now = now_ms();

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != l->wake_fd)
                on_event(l, &events[i]);
        }
        if (!obey_commands(l))
            return NULL;
        for (int r = 0; r < HTTP_REACHES; r++)
            for (size_t i = 0; i < l->shards && l->multi[r][i].curl; i++)
                serve_multi(&l->multi[r][i], now);
    }
}

void http_loop_post(struct http_loop *l, struct http_transfer *t, int command) {
    uint64_t one = 1;
    bool wake;

    pthread_mutex_lock(&l->mu);
    t->command = command;
    if (!t->queued) {
        t->queued = true;
        t->next = NULL;
        if (l->last)
            l->last->next = t;
        else
            l->first = t;
        l->last = t;
    }
    wake = !l->woken;
    l->woken = true;
    pthread_mutex_unlock(&l->mu);
    if (wake)
        (void)!write(l->wake_fd, &one, sizeof(one));
}

static void wait_for_flag(struct http_transfer *t, uint32_t flag) {
    uint32_t seen;

    while (!((seen = atomic_load(&t->state)) & flag))
        http_transfer_wait_news(t, seen);
}

void http_transfer_wait(struct http_transfer *t) {
    wait_for_flag(t, TRANSFER_DONE);
}

bool http_transfer_wait_ms(struct http_transfer *t, int timeout_ms) {
    struct timespec left = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    uint32_t seen = atomic_load(&t->state);

    /* A plain transfer changes its state once: news of a stream only end the wait. */
    if (!(seen & TRANSFER_DONE))
        syscall(SYS_futex, &t->state, FUTEX_WAIT_PRIVATE, seen, &left, NULL, 0);
    return http_transfer_is_done(t);
}

void http_transfer_cancel(struct http_loop *l, struct http_transfer *t) {
    http_loop_post(l, t, TRANSFER_CANCEL);
    wait_for_flag(t, TRANSFER_RELEASED);
}

struct http_loop *http_loop_new(size_t max_connections, size_t max_per_host) {
    struct http_loop *l = calloc(1, sizeof(*l));
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET}; /* never read */

    if (!l)
        abort();
    pthread_mutex_init(&l->mu, NULL);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ev.data.fd = l->wake_fd;
    /* A bound per host holds for one multi handle: then there is only that one. */
    l->per_host = max_per_host;
    l->shards = max_per_host ? 1 : (max_connections + SHARD - 1) / SHARD;
    if (l->shards > MAX_SHARDS)
        l->shards = MAX_SHARDS;
    l->per_shard = (max_connections + l->shards - 1) / l->shards;
    for (int r = 0; r < HTTP_REACHES; r++)
        for (size_t i = 0; i < MAX_SHARDS; i++)
            l->multi[r][i].timer_ms = -1;
    if (l->epoll_fd < 0 || l->wake_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0 ||
        pthread_create(&l->thread, NULL, run, l) != 0)
        abort();
    return l;
}

void http_loop_free(struct http_loop **lp) {
    struct http_loop *l = *lp;
    uint64_t one = 1;

    if (!l)
        return;
    pthread_mutex_lock(&l->mu);
    l->stop = true;
    pthread_mutex_unlock(&l->mu);
    (void)!write(l->wake_fd, &one, sizeof(one));
    pthread_join(l->thread, NULL);
    for (int r = 0; r < HTTP_REACHES; r++)
        for (size_t i = 0; i < l->shards; i++)
            curl_multi_cleanup(l->multi[r][i].curl);
    close(l->epoll_fd);
    close(l->wake_fd);
    pthread_mutex_destroy(&l->mu);
    free(l->watched);
    free(l);
    *lp = NULL;
}
