/*
 * fault_proxy.h - for tests: a relay in front of a local server that spoils the next
 * connections in a chosen way. Threads: one per connection; all calls from any.
 */
#ifndef TEST_BLOB_FAULT_PROXY_H
#define TEST_BLOB_FAULT_PROXY_H

#include <stddef.h>

enum fault {
    FAULT_NONE,
    FAULT_CUT,   /* after `after` bytes of answers the connection is reset */
    FAULT_STALL, /* after them nothing comes any more, and the connection stays open */
    FAULT_CUT_REQUEST, /* after `after` bytes of requests the connection is reset */
    FAULT_SLOW,        /* answers come in pieces of 1000 bytes, 1 ms apart */
};

struct fault_proxy;
/* Listens on a free port of 127.0.0.1 and relays to `port` there. */
struct fault_proxy *fault_proxy_start(int port);
int fault_proxy_port(const struct fault_proxy *p);
/* The next n connections get this fault, those after them none. */
void fault_proxy_spoil(struct fault_proxy *p, int n, enum fault fault, size_t after);
/* Connections spoilt so far. */
int fault_proxy_spoilt(struct fault_proxy *p);
/* Ends all connections. */
void fault_proxy_stop(struct fault_proxy **p);

#endif
