/*
 * Owners with a job are few (each job is a thread that waits), so they are a list.
 */
#include "runner_slots.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct owner {
    struct owner *next;
    int taken;
    char name[];
};

struct runner_slots {
    pthread_mutex_t lock;
    struct owner *owners; /* guarded by: lock */
};

struct runner_slots *runner_slots_new(void) {
    struct runner_slots *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void runner_slots_free(struct runner_slots **sp) {
    struct runner_slots *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    assert(!s->owners);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The link to an owner, or to the end of the list. */
static struct owner **find(struct runner_slots *s, const char *name) {
    struct owner **p = &s->owners;

    while (*p && strcmp((*p)->name, name) != 0)
        p = &(*p)->next;
    return p;
}

bool runner_slots_take(struct runner_slots *s, const char *name, int most) {
    struct owner **p, *o;
    bool free_slot;

    pthread_mutex_lock(&s->lock);
    p = find(s, name);
    free_slot = most <= 0 || !*p || (*p)->taken < most;
    if (free_slot && !*p) {
        size_t n = strlen(name) + 1;

        o = malloc(sizeof(*o) + n);
        if (!o)
            abort();
        o->next = NULL;
        o->taken = 0;
        memcpy(o->name, name, n);
        *p = o;
    }
    if (free_slot)
        (*p)->taken++;
    pthread_mutex_unlock(&s->lock);
    return free_slot;
}

void runner_slots_give(struct runner_slots *s, const char *name) {
    struct owner **p, *o;

    pthread_mutex_lock(&s->lock);
    p = find(s, name);
    o = *p;
    assert(o && o->taken > 0);
    if (--o->taken == 0) {
        *p = o->next;
        free(o);
    }
    pthread_mutex_unlock(&s->lock);
}
