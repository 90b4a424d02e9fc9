/*
 * http_loop.h - one thread that drives libcurl's transfers over epoll.
 *
 * A reach has multi handles, hence pools of connections, of its own: a connection that
 * was opened without the network policy can't serve a call under it.
 */
#ifndef HTTP_HTTP_LOOP_H
#define HTTP_HTTP_LOOP_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http_client.h"

struct http_loop;
struct multi;

enum { HTTP_REACHES = HTTP_REACH_ANY + 1 };

/* A transfer on the loop. CURLOPT_PRIVATE of its easy handle points to it. */
struct http_transfer {
    CURL *easy;
    enum http_reach reach;
    struct http_transfer *next;                      /* guarded by: loop; its queue */
    struct http_transfer *prev_active, *next_active; /* of the loop's thread */
    bool active;
    struct multi *multi; /* that it runs on */
    enum { TRANSFER_START, TRANSFER_UNPAUSE, TRANSFER_CANCEL } command;
    bool queued; /* guarded by: loop */
    /*
     * What the owner waits on: the flags below, and a counter that the loop's callbacks
     * raise for a stream's reader. The loop's last touch of a transfer that is not a
     * stream is setting TRANSFER_DONE.
     */
    _Atomic uint32_t state;
    CURLcode result; /* once TRANSFER_DONE is set */
};

enum {
    TRANSFER_DONE = 1,     /* result is set, the easy handle is the owner's again */
    TRANSFER_RELEASED = 2, /* the answer to TRANSFER_CANCEL: the loop has forgotten it */
    TRANSFER_NEWS = 4,     /* step of the counter */
};

static inline bool http_transfer_is_done(const struct http_transfer *t) {
    return (t->state & TRANSFER_DONE) != 0;
}

struct http_loop *http_loop_new(size_t max_connections, size_t max_per_host);
/*
 * Hands the transfer and its easy handle to the loop's thread until done is true. A
 * command for a transfer whose earlier command still waits replaces it.
 */
void http_loop_post(struct http_loop *l, struct http_transfer *t, int command);
/* Blocks until done. */
void http_transfer_wait(struct http_transfer *t);
/* false: not done after timeout_ms. */
bool http_transfer_wait_ms(struct http_transfer *t, int timeout_ms);
/* Blocks until state is no longer `seen`. */
void http_transfer_wait_news(struct http_transfer *t, uint32_t seen);
/* Wakes who waits for news. */
void http_transfer_tell(struct http_transfer *t);
/* Ends it if need be and blocks until the loop has forgotten it. */
void http_transfer_cancel(struct http_loop *l, struct http_transfer *t);
/* Fails what is under way (CURLE_ABORTED_BY_CALLBACK), ends the thread. */
void http_loop_free(struct http_loop **l);
/* For CURLOPT_CLOSESOCKETFUNCTION, with the loop as its pointer. */
int http_loop_close_socket(void *loop, curl_socket_t fd);

#endif
