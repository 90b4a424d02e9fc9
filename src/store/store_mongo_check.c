/*
 * store_mongo_check.c - what `membrane preflight` says of MongoDB.
 */
#include "store_mongo_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "value/value.h"

enum { OLDEST_WIRE_VERSION = 9, CLOCK_SKEW_MS = 5000 }; /* 9: MongoDB 4.4 */

#define SCRATCH "_preflight"

struct checks {
    struct mongo_store *s;
    struct arena *a;
    struct array_builder list;
};

static void add(struct checks *c, const char *name, bool ok, const char *message) {
    array_push(&c->list,
               value_obj(c->a, "name", value_string(c->a, name), "ok", value_bool(ok),
                         "message", value_string(c->a, message), NULL));
}

static int command(struct checks *c, const char *name, bson_t *reply, struct status *st) {
    bson_t *ask = BCON_NEW(name, BCON_INT32(1));
    struct store_mongo_call call;
    int rc = store_mongo_begin(&call, c->s, SCRATCH, st);

    bson_init(reply);
    if (rc == 0) {
        bson_destroy(reply);
        if (!mongoc_client_command_simple(call.client, c->s->db, ask, NULL, reply,
                                          &call.error))
            rc = store_mongo_fail(&call, reply, st);
        store_mongo_end(&call);
    }
    bson_destroy(ask);
    return rc;
}

/* Older servers know only the older word. */
static int hello(struct checks *c, bson_t *reply, struct status *st) {
    if (command(c, "hello", reply, st) == 0)
        return 0;
    bson_destroy(reply);
    st_clear(st);
    return command(c, "isMaster", reply, st);
}

static void check_server(struct checks *c, const bson_t *hello_reply) {
    bson_iter_t it;
    const char *set =
        bson_iter_init_find(&it, hello_reply, "setName") && BSON_ITER_HOLDS_UTF8(&it)
            ? bson_iter_utf8(&it, NULL)
            : NULL;
    bool router = bson_iter_init_find(&it, hello_reply, "msg");
    int64_t wire = bson_iter_init_find(&it, hello_reply, "maxWireVersion")
                       ? bson_iter_as_int64(&it)
                       : 0;

    add(c, "mongodb-version", wire >= OLDEST_WIRE_VERSION,
        wire >= OLDEST_WIRE_VERSION ? "MongoDB 4.4 or later"
                                    : "older than MongoDB 4.4: not supported");
    add(c, "mongodb-replica-set", true,
        set      ? arena_printf(c->a, "replica set %s", set)
        : router ? "sharded cluster"
                 : "a single server, no replica set: not advised for production");
    if (bson_iter_init_find(&it, hello_reply, "localTime") &&
        BSON_ITER_HOLDS_DATE_TIME(&it)) {
        int64_t skew = llabs(bson_iter_date_time(&it) - clock_now_ms(clock_system()));

        add(c, "mongodb-clock", skew <= CLOCK_SKEW_MS,
            arena_printf(c->a, "%lld ms apart", (long long)skew));
    }
}

static const char *first_failure(const struct status *st) {
    return st->message ? st->message : "";
}

/* Write, read, delete, and an index: what the role readWrite allows. */
static int try_rights(struct checks *c, struct store_mongo_call *call,
                      struct status *st) {
    bson_oid_t id;
    bson_t doc = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *read;
    bool ok;
    int rc = 0;

    (void)c;
    bson_oid_init(&id, NULL);
    bson_append_oid(&doc, "_id", 3, &id);
    ok = mongoc_collection_insert_one(call->collection, &doc, NULL, NULL, &call->error);
    if (ok) {
        cursor = mongoc_collection_find_with_opts(call->collection, &doc, NULL, NULL);
        ok = mongoc_cursor_next(cursor, &read);
        if (!ok && !mongoc_cursor_error(cursor, &call->error))
            rc = st_fail(st, ST_INTERNAL, NULL, "What was written is not there.");
        mongoc_cursor_destroy(cursor);
    }
    if (ok)
        ok = mongoc_collection_delete_one(call->collection, &doc, NULL, NULL,
                                          &call->error) &&
             mongoc_collection_drop(call->collection, &call->error);
    bson_destroy(&doc);
    return ok || rc ? rc : store_mongo_fail(call, NULL, st);
}

static void check_rights(struct checks *c) {
    struct store_mongo_call call;
    struct status st;
    int rc;

    st_init(&st, c->a);
    rc = store_mongo_begin(&call, c->s, SCRATCH, &st);
    if (rc == 0) {
        rc = try_rights(c, &call, &st);
        store_mongo_end(&call);
    }
    add(c, "mongodb-write", rc == 0,
        rc == 0 ? arena_printf(c->a, "written, read and deleted in %s", c->s->db)
                : first_failure(&st));
}

void store_check_mongo(const struct store_mongo_options *o, struct arena *a,
                       const struct value **ret_checks) {
    struct checks c = {.s = store_mongo_new(), .a = a};
    struct store *s = &c.s->base;
    struct status st;
    bson_t reply;

    st_init(&st, a);
    array_begin(&c.list, a, 5);
    if (store_mongo_connect(c.s, o, &st) < 0) {
        add(&c, "mongodb-connect", false, first_failure(&st));
    } else if (hello(&c, &reply, &st) < 0) {
        add(&c, "mongodb-connect", false, first_failure(&st));
        bson_destroy(&reply);
    } else {
        add(&c, "mongodb-connect", true, c.s->hosts);
        check_server(&c, &reply);
        check_rights(&c);
        bson_destroy(&reply);
    }
    store_close(&s);
    *ret_checks = array_end(&c.list);
}
