#include "lease.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "store/store.h"
#include "value/value.h"

static const struct store_filter *ours(const struct lease *l, struct arena *a) {
    return store_and(a, store_eq_text(a, "holder", l->holder),
                     store_eq(a, "fence", value_number(a, (double)l->fence)), NULL);
}

static int renew(struct lease *l, struct store *s, struct arena *a, double now,
                 struct status *st) {
    struct store_change change = {
        .set = value_obj(a, "expiresMs", value_number(a, now + (double)l->life_ms), NULL),
    };

    return store_update(s, a, C_LEASES, l->name, ours(l, a), &change, NULL, st);
}

static int take(struct lease *l, struct store *s, struct arena *a, double now,
                struct status *st) {
    struct store_change change = {
        .set = value_obj(a, "holder", value_string(a, l->holder), "expiresMs",
                         value_number(a, now + (double)l->life_ms), NULL),
        .increment = value_obj(a, "fence", value_number(a, 1), NULL),
    };
    const struct value *doc;
    int rc = store_update(s, a, C_LEASES, l->name,
                          store_cmp(a, STORE_LE, "expiresMs", value_number(a, now)),
                          &change, &doc, st);

    if (rc == 0)
        l->fence = (int64_t)value_get_number(doc, "fence", 0);
    return rc;
}

/* The first ever. 1: somebody was faster. */
static int make(struct lease *l, struct store *s, struct arena *a, double now,
                struct status *st) {
    struct status failure;
    int rc;

    st_init(&failure, a);
    rc = store_insert(s, C_LEASES,
                      value_obj(a, "id", value_string(a, l->name), "holder",
                                value_string(a, l->holder), "fence", value_number(a, 1),
                                "expiresMs", value_number(a, now + (double)l->life_ms),
                                NULL),
                      &failure);
    if (rc == 0)
        l->fence = 1;
    if (rc < 0 && failure.key && strcmp(failure.key, "already_exists") == 0)
        return 1;
    return rc < 0 ? st_fail(st, failure.type, failure.key, "%s", failure.message) : 0;
}

int lease_keep(struct lease *l, struct store *s, struct clock *c, struct status *st) {
    struct arena *a = arena_new(0);
    double now = (double)clock_now_ms(c);
    const struct value *doc;
    int rc = 1;

    if (l->held)
        rc = renew(l, s, a, now, st);
    if (rc == 1)
        rc = take(l, s, a, now, st);
    if (rc == 1 && (rc = store_get(s, a, C_LEASES, l->name, &doc, st)) >= 0)
        rc = rc == 1 ? make(l, s, a, now, st) : 1;
    l->held = rc == 0;
    arena_free(&a);
    return rc;
}

int lease_resign(struct lease *l, struct store *s, struct status *st) {
    struct arena *a = arena_new(0);
    struct store_change change = {
        .set = value_obj(a, "expiresMs", value_number(a, 0), NULL)};
    int rc = l->held
                 ? store_update(s, a, C_LEASES, l->name, ours(l, a), &change, NULL, st)
                 : 0;

    l->held = false;
    arena_free(&a);
    return rc < 0 ? -1 : 0;
}

int lease_mark(struct lease *l, struct store *s, struct clock *c, struct arena *a,
               const struct value *members, struct status *st) {
    struct store_change change = {.set = members};
    const struct store_filter *expect = store_and(
        a, ours(l, a),
        store_cmp(a, STORE_GT, "expiresMs", value_number(a, (double)clock_now_ms(c))),
        NULL);

    return store_update(s, a, C_LEASES, l->name, expect, &change, NULL, st);
}

int lease_read(const struct lease *l, struct store *s, struct arena *a,
               const struct value **ret_doc, struct status *st) {
    return store_get(s, a, C_LEASES, l->name, ret_doc, st);
}
