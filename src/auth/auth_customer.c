/*
 * Customers: created and kept up to date by the tokens that name them. Uniqueness of
 * (workspace, internalId) is the store's: of two first tokens at once one inserts, the
 * other finds it.
 */
#include "auth_priv.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "store/store.h"
#include "value/value.h"

enum { ACTIVITY_STEP_MS = 60 * 60 * 1000 };
#define ACTIVE_MS (30LL * 24 * 60 * 60 * 1000)

static const char *const secrets[] = {"credentials", NULL};

const struct value *auth_iso(struct arena *a, int64_t ms) {
    char text[32];
    size_t len = value_format_date((double)ms, text);

    return value_string_len(a, text, len);
}

const struct value *auth_iso_now(struct auth *auth, struct arena *a) {
    return auth_iso(a, auth_now_ms(auth));
}

const char *auth_new_id(struct auth *auth, struct arena *a) {
    return id_new(auth->o.clock, auth->o.rand, a);
}

static int find_by_internal_id(struct store *s, struct arena *a, const char *workspace_id,
                               const char *internal_id, const struct value **ret_doc,
                               struct status *st) {
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", workspace_id),
                           store_eq_text(a, "internalId", internal_id), NULL)};

    return store_find(s, a, C_CUSTOMERS, &q, ret_doc, st);
}

/* ISO texts of one form compare as times do. */
static bool is_older(const struct value *doc, const char *field,
                     const struct value *iso) {
    return strcmp(value_get_string(doc, field, ""), value_text(iso)) < 0;
}

static int insert(struct auth *auth, struct arena *a, const char *workspace_id,
                  const struct auth_claims *c, const struct value **ret_doc,
                  struct status *st) {
    const struct value *now = auth_iso_now(auth, a);
    const struct value *doc =
        value_obj(a, "id", value_string(a, auth_new_id(auth, a)), "workspaceId",
                  value_string(a, workspace_id), "name",
                  value_string(a, c->name ? c->name : c->tenant_key), "internalId",
                  value_string(a, c->tenant_key), "fields", c->fields, "isTest",
                  c->is_test ? &value_true : NULL, "lastActiveAt", now, "createdAt", now,
                  "updatedAt", now, NULL);

    *ret_doc = doc;
    return store_insert(auth->o.store, C_CUSTOMERS, doc, st);
}

/* What the token changes; NULL when nothing. */
static const struct value *changes(struct auth *auth, struct arena *a,
                                   const struct auth_claims *c, const struct value *doc) {
    struct object_builder b;

    object_begin(&b, a, 4);
    if (c->name && !value_equals_text(value_get(doc, "name"), c->name))
        object_set_string(&b, "name", c->name);
    if (c->fields && !value_equal(value_get(doc, "fields"), c->fields))
        object_set(&b, "fields", c->fields);
    if (c->is_test && !value_get_bool(doc, "isTest", false))
        object_set_bool(&b, "isTest", true);
    if (b.len)
        object_set(&b, "updatedAt", auth_iso_now(auth, a));
    if (is_older(doc, "lastActiveAt", auth_iso(a, auth_now_ms(auth) - ACTIVITY_STEP_MS)))
        object_set(&b, "lastActiveAt", auth_iso_now(auth, a));
    return b.len ? object_end(&b) : NULL;
}

int auth_customer_upsert(struct auth *auth, struct arena *a, const char *workspace_id,
                         const struct auth_claims *claims,
                         const struct value **ret_customer, struct status *st) {
    struct store *s = auth->o.store;
    struct store_change change = {0};
    const struct value *doc;
    int rc = find_by_internal_id(s, a, workspace_id, claims->tenant_key, &doc, st);

    if (rc == 1) {
        if (insert(auth, a, workspace_id, claims, ret_customer, st) == 0)
            return 0;
        if (!st->key || strcmp(st->key, "already_exists"))
            return -1;
        st_clear(st);
        rc = find_by_internal_id(s, a, workspace_id, claims->tenant_key, &doc, st);
        if (rc == 1)
            return st_fail(st, ST_CONCURRENCY, NULL,
                           "The customer was changed at the same time; try again");
    }
    if (rc < 0)
        return -1;
    if (!value_is_nullish(value_get(doc, "archivedAt")))
        return auth_deny(st, "This customer is archived");
    change.set = changes(auth, a, claims, doc);
    *ret_customer = doc;
    if (!change.set)
        return 0;
    rc = store_update(s, a, C_CUSTOMERS, value_get_string(doc, "id", ""), NULL, &change,
                      ret_customer, st);
    return rc == 1 ? auth_deny(st, "This customer was deleted") : rc;
}

const struct value *auth_customer_served(struct auth *auth, struct arena *a,
                                         const struct value *doc) {
    static const char *const hidden[] = {"credentials", "workspaceId", NULL};
    const struct value *since = auth_iso(a, auth_now_ms(auth) - ACTIVE_MS);
    bool is_test = value_get_bool(doc, "isTest", false);
    bool is_active = value_is_nullish(value_get(doc, "archivedAt")) &&
                     !is_older(doc, "lastActiveAt", since);
    struct object_builder b;

    object_begin(&b, a, 16);
    object_set_all(&b, value_omit(a, doc, hidden));
    object_set_bool(&b, "isTest", is_test);
    object_set_bool(&b, "isActive", is_active);
    object_set_bool(&b, "isBillable", is_active && !is_test);
    return object_end(&b);
}

const struct value *auth_customer_without_secrets(struct arena *a,
                                                  const struct value *doc) {
    return value_omit(a, doc, secrets);
}

const struct store_filter *auth_customer_active_filter(struct auth *auth, struct arena *a,
                                                       bool active) {
    const struct value *since = auth_iso(a, auth_now_ms(auth) - ACTIVE_MS);

    return active ? store_cmp(a, STORE_GE, "lastActiveAt", since)
                  : store_or(a, store_cmp(a, STORE_LT, "lastActiveAt", since),
                             store_cmp(a, STORE_ABSENT, "lastActiveAt", NULL), NULL);
}

const char *auth_customer_slot_id(struct arena *a, const char *workspace_id,
                                  const char *internal_id) {
    return arena_printf(a, "%s/%s", workspace_id, internal_id);
}

int auth_customer_load(struct store *s, struct arena *a, const char *workspace_id,
                       const char *selector, const struct value **ret_doc,
                       struct status *st) {
    int rc = store_get(s, a, C_CUSTOMERS, selector, ret_doc, st);

    if (rc < 0)
        return -1;
    if (rc == 0 && value_equals_text(value_get(*ret_doc, "workspaceId"), workspace_id))
        return 0;
    return find_by_internal_id(s, a, workspace_id, selector, ret_doc, st);
}

int auth_find_customer(const struct deps *deps, struct arena *a, const char *workspace_id,
                       const char *selector, const struct value **ret_customer,
                       struct status *st) {
    const struct value *doc;
    int rc = auth_customer_load(deps->store, a, workspace_id, selector, &doc, st);

    if (rc == 0)
        *ret_customer = auth_customer_without_secrets(a, doc);
    return rc;
}

int auth_customer_open_credentials(const struct crypto_sealer *s, struct arena *a,
                                   const struct value *doc,
                                   const struct value **ret_value, struct status *st) {
    const char *sealed = value_get_string(doc, "credentials", NULL);

    *ret_value = &value_undefined;
    if (!sealed)
        return 0;
    return crypto_unseal(s, a, value_get_string(doc, "id", ""), sealed, ret_value, st);
}

int auth_customer_credentials(const struct deps *deps, struct arena *a,
                              const char *customer_id, const struct value **ret_value,
                              struct status *st) {
    const struct value *doc;
    int rc = store_get(deps->store, a, C_CUSTOMERS, customer_id, &doc, st);

    if (rc != 0)
        return rc;
    return auth_customer_open_credentials(deps->sealer, a, doc, ret_value, st);
}
