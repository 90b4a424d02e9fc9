/*
 * redis_reply.c - replies, built in the caller's arena by hiredis' reader.
 *
 * The reader tells of each value as it comes; a list is made with room for its items,
 * which find it through their parent. What a hostile length could ask for is bounded by
 * the items of one reply; its bytes are bounded where they are received.
 */
#include <hiredis/read.h>
#include <stdlib.h>

#include "base/arena.h"
#include "redis_priv.h"

static struct redis_reply *add(const redisReadTask *task, enum redis_type type) {
    struct redis_sink *sink = task->privdata;
    struct redis_reply *r, *list;

    if (!sink->items_left || !sink->arena)
        return NULL;
    sink->items_left--;
    r = arena_zalloc(sink->arena, sizeof(*r));
    r->type = type;
    r->text = "";
    if (task->parent) {
        list = task->parent->obj;
        ((struct redis_reply **)list->items)[task->idx] = r;
    }
    return r;
}

static void *on_string(const redisReadTask *task, char *s, size_t len) {
    struct redis_sink *sink = task->privdata;
    struct redis_reply *r =
        add(task, task->type == REDIS_REPLY_ERROR ? REDIS_ERROR : REDIS_TEXT);

    if (r) {
        r->text = arena_memdup(sink->arena, s, len);
        r->len = len;
    }
    return r;
}

static void *on_array(const redisReadTask *task, int elements) {
    struct redis_sink *sink = task->privdata;
    struct redis_reply *r;

    if (elements < 0 || (size_t)elements >= sink->items_left ||
        !(r = add(task, REDIS_LIST)))
        return NULL;
    r->len = (size_t)elements;
    r->items = arena_zalloc(sink->arena, r->len * sizeof(*r->items));
    return r;
}

static void *on_integer(const redisReadTask *task, long long n) {
    struct redis_reply *r = add(task, REDIS_INTEGER);

    if (r)
        r->integer = n;
    return r;
}

static void *on_nil(const redisReadTask *task) {
    return add(task, REDIS_NIL);
}

/* All of it is in the arena. */
static void on_free(void *reply) {
    (void)reply;
}

static const redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = on_free,
};

struct redisReader *redis_reader_new(struct redis_sink *sink) {
    redisReader *r =
        redisReaderCreateWithFunctions((redisReplyObjectFunctions *)&functions);

    if (!r)
        abort();
    r->privdata = sink;
    return r;
}
