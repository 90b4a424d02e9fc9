/*
 * mongo_peer.h - a MongoDB-protocol server for a test: `mongod` where one is installed,
 * else the one that scripts/setup puts into .peers. It ends with the test, whatever
 * happens to that.
 */
#ifndef TEST_STORE_MONGO_PEER_H
#define TEST_STORE_MONGO_PEER_H

#include <stdbool.h>
#include <sys/types.h>

struct mongo_peer {
    pid_t pid;
    int port, stdin_fd;
    char dir[64];           /* of its data; "" in memory */
    char cert[96], key[96]; /* files; "": without TLS */
};

/* Is it the real one? */
bool mongo_peer_is_mongod(void);
/* durable: what was acknowledged survives a kill. */
void mongo_peer_start(struct mongo_peer *p, bool durable);
/* The same with TLS and the certificate of p->cert and p->key. */
void mongo_peer_start_tls(struct mongo_peer *p, const char *cert, const char *key);
/* SIGKILL; its data stay. */
void mongo_peer_kill(struct mongo_peer *p);
/* After a kill: on the same port, with the same data. */
void mongo_peer_restart(struct mongo_peer *p);
/* Ends it and removes its data. */
void mongo_peer_stop(struct mongo_peer *p);
/* An address with a database; lends until the next call but seven. */
const char *mongo_peer_uri(const struct mongo_peer *p, const char *db);

#endif
