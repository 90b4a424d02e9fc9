/*
 * http_lane.h - handles, each with live connections of its own, for calls that run on
 * their caller's thread.
 *
 * A call that blocks its thread anyway needs no other thread to drive it: the way through
 * the loop costs two switches. Lanes are few, so what waits in great number goes through
 * the loop, where a waiting call costs less.
 */
#ifndef HTTP_HTTP_LANE_H
#define HTTP_HTTP_LANE_H

#include <curl/curl.h>

#include "http_client.h"

struct http_lanes;
struct pollfd;

/* One thread's between take and give. */
struct http_lane {
    CURL *easy;
    /* Of this module. */
    CURLM *multi;
    struct pollfd *watched; /* the sockets that the running call waits for */
    size_t watched_len, watched_max;
    int64_t timer_ms;      /* monotonic; -1: none */
    enum http_reach reach; /* its connections were opened under this one's policy */
    uint64_t origin;       /* of the last call */
    struct http_lane *next;
};

struct http_lanes *http_lanes_new(void);
/* The lane that last called the origin ("host:port") if it is free, or another; NULL when
 * all are busy. Threads: any. */
struct http_lane *http_lanes_take(struct http_lanes *l, enum http_reach reach,
                                  const char *origin);
/* Runs what the easy handle is set up for; blocks until it is over. */
CURLcode http_lane_run(struct http_lane *lane);
void http_lanes_give(struct http_lanes *l, struct http_lane *lane);
/* All lanes must have been given back. */
void http_lanes_free(struct http_lanes **l);

#endif
