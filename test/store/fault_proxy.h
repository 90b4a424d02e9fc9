/*
 * fault_proxy.h - a TCP proxy that loses what a test tells it to.
 *
 * It looks for a word in what clients send and, as often as it is armed, does one thing
 * to the connection on which the word went by.
 */
#ifndef TEST_STORE_FAULT_PROXY_H
#define TEST_STORE_FAULT_PROXY_H

enum fault {
    FAULT_LOSE_REQUEST, /* the server never sees it; the connection ends */
    FAULT_LOSE_ANSWER,  /* the server does it, the answer is lost; the connection ends */
    FAULT_STALL,        /* the connection stays open and silent */
};

struct fault_proxy;

/* Between a port of its own and `port`, both of 127.0.0.1. */
struct fault_proxy *fault_proxy_start(int port);
int fault_proxy_port(const struct fault_proxy *p);
/* word: lives as long as the proxy. */
void fault_proxy_arm(struct fault_proxy *p, enum fault fault, const char *word,
                     int times);
/* How often a fault has come about since the start. */
int fault_proxy_count(struct fault_proxy *p);
/* Ends every connection that stands now. */
void fault_proxy_cut(struct fault_proxy *p);
void fault_proxy_stop(struct fault_proxy **p);

#endif
