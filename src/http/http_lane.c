/*
 * http_lane.c - a stack of free lanes per reach.
 *
 * A multi handle keeps its connections alive from call to call. curl_easy_perform has one
 * inside, too, but polls before it does anything and asks each socket again whether it is
 * ready; told what happened, libcurl takes half the system calls. Among the free ones the
 * one that last called the same origin is taken: it most likely has a connection there.
 */
#include "http_lane.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "http_loop.h"

enum {
    MAX_LANES = 32, /* of a reach */
    KEPT_CONNECTIONS = 5,
    POLL_MS = 1000, /* libcurl looks at its own deadlines, too */
};

struct http_lanes {
    pthread_mutex_t mu;
    struct {
        struct http_lane *free; /* guarded by: mu */
        size_t made;            /* guarded by: mu */
    } reach[HTTP_REACHES];
};

/* ---- running a call ---- */

static int64_t now_ms(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *ctx2) {
    struct http_lane *lane = ctx;
    size_t i = 0;

    (void)easy, (void)ctx2;
    while (i < lane->watched_len && lane->watched[i].fd != fd)
        i++;
    if (what == CURL_POLL_REMOVE) {
        if (i < lane->watched_len)
            lane->watched[i] = lane->watched[--lane->watched_len];
        return 0;
    }
    if (i == lane->watched_max) {
        lane->watched_max = lane->watched_max ? lane->watched_max * 2 : 4;
        lane->watched =
            realloc(lane->watched, lane->watched_max * sizeof(*lane->watched));
        if (!lane->watched)
            abort();
    }
    if (i == lane->watched_len)
        lane->watched_len++;
    lane->watched[i] = (struct pollfd){
        .fd = fd,
        .events = (short)((what & CURL_POLL_IN ? POLLIN : 0) |
                          (what & CURL_POLL_OUT ? POLLOUT : 0)),
    };
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx) {
    struct http_lane *lane = ctx;

    (void)multi;
    lane->timer_ms = ms < 0 ? -1 : now_ms() + ms;
    return 0;
}

/* Waits for a socket or the timer and tells libcurl, once. */
static void turn(struct http_lane *lane) {
    int64_t left = lane->timer_ms < 0 ? POLL_MS : lane->timer_ms - now_ms();
    int timeout = left < 0 ? 0 : left > POLL_MS ? POLL_MS : (int)left, running, n = 0;

    if (timeout > 0)
        n = poll(lane->watched, lane->watched_len, timeout);
    if (lane->timer_ms >= 0 && lane->timer_ms <= now_ms()) {
        lane->timer_ms = -1;
        curl_multi_socket_action(lane->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        return; /* sockets may be others now; what came on them is still there */
    }
    for (size_t i = 0; n > 0 && i < lane->watched_len; i++) {
        short events = lane->watched[i].revents;
        int mask = (events & POLLIN ? CURL_CSELECT_IN : 0) |
                   (events & POLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events & ~(POLLIN | POLLOUT) ? CURL_CSELECT_ERR : 0);

        if (mask) {
            curl_multi_socket_action(lane->multi, lane->watched[i].fd, mask, &running);
            return;
        }
    }
}

CURLcode http_lane_run(struct http_lane *lane) {
    CURLcode result = CURLE_FAILED_INIT;
    CURLMsg *msg = NULL;
    int left;

    lane->timer_ms = -1;
    if (curl_multi_add_handle(lane->multi, lane->easy) != CURLM_OK)
        return result;
    while (!msg) {
        turn(lane);
        msg = curl_multi_info_read(lane->multi, &left);
    }
    assert(msg->msg == CURLMSG_DONE && msg->easy_handle == lane->easy);
    result = msg->data.result;
    curl_multi_remove_handle(lane->multi, lane->easy);
    return result;
}

/* ---- the stack ---- */

static uint64_t hash_text(const char *s) {
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h;
}

struct http_lanes *http_lanes_new(void) {
    struct http_lanes *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    pthread_mutex_init(&l->mu, NULL);
    return l;
}

static struct http_lane *lane_new(enum http_reach reach) {
    struct http_lane *lane = calloc(1, sizeof(*lane));

    if (!lane || !(lane->easy = curl_easy_init()) || !(lane->multi = curl_multi_init()))
        abort();
    curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
    lane->reach = reach;
    return lane;
}

struct http_lane *http_lanes_take(struct http_lanes *l, enum http_reach reach,
                                  const char *origin) {
    uint64_t hash = hash_text(origin);
    struct http_lane **at, *lane;
    bool make = false;

    pthread_mutex_lock(&l->mu);
    at = &l->reach[reach].free;
    while (*at && (*at)->origin != hash)
        at = &(*at)->next;
    if (!*at && l->reach[reach].made < MAX_LANES) {
        l->reach[reach].made++;
        make = true;
    } else if (!*at) {
        at = &l->reach[reach].free;
    }
    if ((lane = *at))
        *at = lane->next;
    pthread_mutex_unlock(&l->mu);
    if (make)
        lane = lane_new(reach);
    if (lane)
        lane->origin = hash;
    return lane;
}

void http_lanes_give(struct http_lanes *l, struct http_lane *lane) {
    curl_easy_reset(lane->easy);
    pthread_mutex_lock(&l->mu);
    lane->next = l->reach[lane->reach].free;
    l->reach[lane->reach].free = lane;
    pthread_mutex_unlock(&l->mu);
}

void http_lanes_free(struct http_lanes **lp) {
    struct http_lanes *l = *lp;

    if (!l)
        return;
    for (int r = 0; r < HTTP_REACHES; r++) {
        struct http_lane *lane;

        while ((lane = l->reach[r].free)) {
            l->reach[r].free = lane->next;
            curl_easy_cleanup(lane->easy);
            curl_multi_cleanup(lane->multi);
            free(lane->watched);
            free(lane);
        }
    }
    pthread_mutex_destroy(&l->mu);
    free(l);
    *lp = NULL;
}
