/*
 * lease.h - one of many processes leads: a document with a holder and an end.
 *
 * Each change of holder raises the fence. What the leader writes in its role names the
 * fence in the condition (lease_mark), so a leader that slept through its
 * end changes nothing.
 */
#ifndef ORCHESTRATOR_LEASE_H
#define ORCHESTRATOR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct clock;
struct status;
struct store;
struct value;

struct lease {
    const char *name;   /* the document's id in C_LEASES */
    const char *holder; /* who we are */
    int64_t life_ms;
    int64_t fence; /* while we lead */
    bool held;
};

/* Takes the lease when it is free or over, renews it when it is ours. 0 held, 1 somebody
 * else leads. -1: the store failed; the lease counts as lost. */
int lease_keep(struct lease *l, struct store *s, struct clock *c, struct status *st);
/* Gives it up at once, so that another can lead. */
int lease_resign(struct lease *l, struct store *s, struct status *st);
/* Sets members of the lease's document under our fence. 0, 1 we lead no more. */
int lease_mark(struct lease *l, struct store *s, struct clock *c, struct arena *a,
               const struct value *members, struct status *st);
/* The document. 0, 1 absent. */
int lease_read(const struct lease *l, struct store *s, struct arena *a,
               const struct value **ret_doc, struct status *st);

#endif
