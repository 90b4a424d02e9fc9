/*
 * Lines as the members of a selector, over a small store with two workspaces and two
 * customers: whatever is found belongs to the caller.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Made at the first input and kept: opening a store costs more than an input. */
static struct deps *deps;

static void insert(struct arena *a, enum collection c, const char *json) {
    const struct value *doc;
    struct status st;

    st_init(&st, a);
    if (value_parse(a, json, strlen(json), NULL, &doc, &st) < 0 ||
        store_insert(deps->store, c, doc, &st) < 0)
        abort();
}

static void insert_workspace(struct arena *a, const char *w) {
#define DOC(...)       insert(a, DOC_COLLECTION, arena_printf(a, __VA_ARGS__))
#define DOC_COLLECTION C_INTEGRATIONS
    DOC("{\"id\":\"i%s\",\"workspaceId\":\"%s\",\"key\":\"crm\",\"name\":\"C\","
        "\"layer\":\"universal\",\"slot\":\"key=crm\"}",
        w, w);
#undef DOC_COLLECTION
#define DOC_COLLECTION C_CUSTOMERS
    DOC("{\"id\":\"c1%s\",\"workspaceId\":\"%s\",\"internalId\":\"jo\"}", w, w);
    DOC("{\"id\":\"c2%s\",\"workspaceId\":\"%s\",\"internalId\":\"al\"}", w, w);
#undef DOC_COLLECTION
#define DOC_COLLECTION C_CONNECTIONS
    for (int i = 1; i <= 2; i++)
        DOC("{\"id\":\"n%d%s\",\"workspaceId\":\"%s\",\"userId\":\"c%d%s\","
            "\"tenantId\":\"c%d%s\",\"integrationId\":\"i%s\",\"key\":\"k\"}",
            i, w, w, i, w, i, w, w);
#undef DOC_COLLECTION
#define DOC_COLLECTION C_ACTIONS
    DOC("{\"id\":\"a%s\",\"workspaceId\":\"%s\",\"key\":\"act\",\"name\":\"A\","
        "\"layer\":\"universal\",\"slot\":\"u%s\"}",
        w, w, w);
    DOC("{\"id\":\"b%s\",\"workspaceId\":\"%s\",\"key\":\"act\",\"name\":\"A\","
        "\"integrationId\":\"i%s\",\"parentId\":\"a%s\",\"layer\":\"integration\"}",
        w, w, w, w);
    for (int i = 1; i <= 2; i++)
        DOC("{\"id\":\"d%d%s\",\"workspaceId\":\"%s\",\"key\":\"act\",\"name\":\"A\","
            "\"connectionId\":\"n%d%s\",\"userId\":\"c%d%s\",\"parentId\":\"b%s\","
            "\"layer\":\"connection\"}",
            i, w, w, i, w, i, w, w);
#undef DOC_COLLECTION
#undef DOC
}

static void open_once(void) {
    struct arena *a;

    if (deps)
        return;
    a = arena_new(0);
    deps = calloc(1, sizeof(*deps));
    deps->store = store_open_memory();
    deps->clock = clock_system();
    deps->rand = rand_system();
    insert_workspace(a, "1");
    insert_workspace(a, "2");
    arena_free(&a);
}

/* The next line; NULL for an empty one, as an absent parameter is. */
static const char *next_line(struct arena *a, const char **p, const char *end) {
    const char *start = *p, *stop;

    if (start >= end)
        return NULL;
    stop = memchr(start, '\n', (size_t)(end - start));
    if (!stop)
        stop = end;
    *p = stop + 1;
    return stop == start ? NULL : arena_memdup(a, start, (size_t)(stop - start));
}

static void resolve(struct arena *a, const struct caller *caller,
                    const struct model_selector *s, enum element_id type) {
    struct model_view *v = model_view_new(deps, a, caller, "1");
    const struct value *doc = NULL;
    const char *owner;
    struct status st;

    st_init(&st, a);
    if (model_resolve(v, type, s, &doc, &st) < 0) {
        if (st.type == ST_INTERNAL || !st.message)
            abort();
        return;
    }
    owner = value_get_string(doc, "userId", NULL);
    if (!value_equals_text(value_get(doc, "workspaceId"), "1") ||
        (caller->customer_id && owner && strcmp(owner, caller->customer_id) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct caller admin = {.workspace_id = "1", .is_admin = true};
    static const struct caller customer = {.workspace_id = "1", .customer_id = "c11"};
    const char *p = (const char *)data + 1, *end = (const char *)data + size;
    struct model_selector s = {0};
    struct arena *a;

    if (size < 2)
        return 0;
    open_once();
    a = arena_new(0);
    {
        const char **const members[] = {&s.text,
                                        &s.id,
                                        &s.key,
                                        &s.uuid,
                                        &s.integration_id,
                                        &s.integration,
                                        &s.integration_key,
                                        &s.connection_id,
                                        &s.connection,
                                        &s.connection_key,
                                        &s.instance_key,
                                        &s.parent_id,
                                        &s.parent_key,
                                        &s.user_id};

        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
            *members[i] = next_line(a, &p, end);
    }
    s.instance_only = data[0] & 1;
    s.fall_back = data[0] & 2;
    s.layer = (enum layer)((data[0] >> 2) & 7);
    if (s.layer & (s.layer - 1))
        s.layer = LAYER_ANY;
    resolve(a, &admin, &s, EL_ACTION);
    resolve(a, &customer, &s, EL_ACTION);
    resolve(a, &customer, &s, EL_APP_DATA_SCHEMA);
    arena_free(&a);
    return 0;
}
