/*
 * http_server_priv.h - the pieces of the server: connections with their deadlines
 * (http_conn.c), cross-origin answers (http_cors.c), exchanges (http_server.c).
 */
#ifndef HTTP_HTTP_SERVER_PRIV_H
#define HTTP_HTTP_SERVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http.h"

/* ---- Connections ---- */

enum conn_state {
    CONN_NEW,     /* accepted, no request line yet */
    CONN_IDLE,    /* kept alive between two requests */
    CONN_HEADERS, /* request line seen */
    CONN_BODY,    /* headers complete */
    CONN_BUSY,    /* the request is complete: the handler or the reply takes its time */
    CONN_DEAD,    /* was late: the watch has shut it down */
};

/* One TCP connection. Lives in the watch's list from accept to close. */
struct conn {
    struct conn *prev, *next; /* guarded by: watch.mu */
    int fd;
    _Atomic int state;
    _Atomic int64_t deadline_ms; /* of the states but BUSY and DEAD; 0: none */
    char ip[46];
    bool ip_is_private;
};

/* Ends connections that are late, whatever small bytes they send. */
struct conn_watch {
    pthread_mutex_t mu;
    pthread_cond_t wake;
    pthread_t thread;
    struct conn *first; /* guarded by: mu */
    unsigned count;     /* guarded by: mu */
    bool stop;          /* guarded by: mu */
    int headers_timeout_ms, keepalive_timeout_ms, request_timeout_ms;
    const char *late_reply; /* bytes of the 408 answer */
};

int conn_watch_start(struct conn_watch *w);
void conn_watch_stop(struct conn_watch *w);
/* Gives a conn; conn_close ends it, before its descriptor is closed. */
struct conn *conn_open(struct conn_watch *w, int fd, const void *sockaddr);
void conn_close(struct conn_watch *w, struct conn *c);
/* False when the watch was quicker: the request must be dropped. */
bool conn_enter(struct conn_watch *w, struct conn *c, enum conn_state state);
/* Shuts down every connection that waits for a request. */
void conn_end_idle(struct conn_watch *w);
/* Shuts down all of them. */
void conn_end_all(struct conn_watch *w);

int64_t conn_now_ms(void);
int64_t conn_now_us(void);

/* ---- Cross-origin rules ---- */

struct cors {
    const char *allowed; /* "*", a comma list, or NULL */
};

/* The allow headers of any answer; origin: of the request, or NULL. */
void cors_headers(const struct cors *c, const char *origin, struct reply *rp);
/* The whole answer to a preflight. */
void cors_preflight(const struct cors *c, const char *origin, const char *want_headers,
                    struct reply *rp);

#endif
