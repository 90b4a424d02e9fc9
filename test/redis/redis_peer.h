/*
 * redis_peer.h - real Redis servers for tests, on free ports, ended by their pids; and a
 * proxy in front of them that misbehaves when told to.
 */
#ifndef TEST_REDIS_REDIS_PEER_H
#define TEST_REDIS_REDIS_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct redis_peer;

/* A directory of its own below the system's temporary one, removed at the end. */
struct redis_peer *redis_peer_single(void);
/* TLS with a certificate for "localhost", user "default" with password "pa/ss:w@rd". */
struct redis_peer *redis_peer_tls(void);
/* Three masters, each with a third of the slots, and one replica of the first. */
struct redis_peer *redis_peer_cluster(void);
void redis_peer_free(struct redis_peer **p);

/* Of a node: 0 to 3, masters first. */
int redis_peer_port(const struct redis_peer *p, int node);
/* "redis://127.0.0.1:1234"; for TLS with its password, for localhost. */
const char *redis_peer_uri(const struct redis_peer *p, int node);
const char *redis_peer_ca_file(const struct redis_peer *p);
/* SIGKILL, and started again on the same port with the same arguments. */
void redis_peer_kill(struct redis_peer *p, int node);
void redis_peer_start(struct redis_peer *p, int node);
/* Waits until the replica has taken over from the killed first master. */
void redis_peer_await_failover(struct redis_peer *p);
/* A plain command on a connection of its own, inline; the raw answer's first bytes. */
void redis_peer_say(const struct redis_peer *p, int node, const char *command,
                    char *answer, size_t max);

/* The three forms, for suites that run on each. */
enum redis_form { REDIS_FORM_SINGLE, REDIS_FORM_CLUSTER, REDIS_FORM_TLS };
struct redis_peer *redis_peer_new(enum redis_form form);
struct redis;
/* A client of it; ended by redis_close. */
struct redis *redis_peer_open(const struct redis_peer *p);

#define REDIS_AWAIT(condition)                                                           \
    do {                                                                                 \
        int64_t await_end = redis_peer_now_ms() + 60000;                                 \
        while (!(condition)) {                                                           \
            assert_true(redis_peer_now_ms() < await_end);                                \
            redis_peer_nap();                                                            \
        }                                                                                \
    } while (0)
#include <stdint.h>
int64_t redis_peer_now_ms(void);
void redis_peer_nap(void);

/* ---- A proxy ---- */

enum redis_fault {
    REDIS_FAULT_NONE,
    REDIS_FAULT_CUT,    /* connections are closed, new ones too */
    REDIS_FAULT_HANG,   /* bytes are taken and not passed on: half-open */
    REDIS_FAULT_SLOW,   /* a byte at a time, a few milliseconds apart */
    REDIS_FAULT_MIDWAY, /* the connection is closed before the answer is passed on */
};
struct redis_proxy;
struct redis_proxy *redis_proxy_new(int to_port);
int redis_proxy_port(const struct redis_proxy *p);
void redis_proxy_set(struct redis_proxy *p, enum redis_fault fault);
void redis_proxy_free(struct redis_proxy **p);

#endif
