/*
 * Elements on the in-memory store: layers, keys, customising, states that spread.
 */
#include "../cmocka_all.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "deps/deps.h"
#include "model/model.h"
#include "store/store.h"
#include "value/value.h"

#define WS "ws1"

struct world {
    struct arena *arena;
    struct store *store;
    struct deps deps;
    struct clock_fake clock;
    struct caller admin, customer;
    struct status st;
};

static int set_up(void **state) {
    struct world *w = test_calloc(1, sizeof *w);

    w->arena = arena_new(0);
    w->store = store_open_memory();
    clock_fake_init(&w->clock, 1762331412481);
    w->deps =
        (struct deps){.store = w->store, .clock = &w->clock.clock, .rand = rand_system()};
    w->admin = (struct caller){.workspace_id = WS, .is_admin = true};
    w->customer = (struct caller){.workspace_id = WS, .customer_id = "cu1"};
    st_init(&w->st, w->arena);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;

    store_close(&w->store);
    arena_free(&w->arena);
    test_free(w);
    return 0;
}

static const struct value *json(struct world *w, const char *text) {
    const struct value *v;

    if (value_parse(w->arena, text, strlen(text), NULL, &v, &w->st) < 0)
        fail_msg("%s: %s", text, w->st.message);
    return v;
}

static void must(struct world *w, int rc) {
    if (rc != 0)
        fail_msg("%d: %s", rc, w->st.message ? w->st.message : "(no message)");
}

static struct model_view *view(struct world *w) {
    return model_view_new(&w->deps, w->arena, &w->admin, WS);
}

/* Puts a connector into the store. */
static void add_connector(struct world *w, const char *text) {
    must(w, store_insert(w->store, C_CONNECTORS, json(w, text), &w->st));
}

static const struct value *read_back(struct world *w, enum element_id type,
                                     const struct value *doc) {
    const struct value *out;

    must(w, model_get(view(w), type, value_get_string(doc, "id", ""), &out, &w->st));
    return out;
}

static const struct value *create_in(struct world *w, enum element_id type,
                                     const struct model_scope *scope, const char *body) {
    struct model_view *v = view(w);
    const struct value *doc;

    must(w, model_create(v, type, scope, json(w, body), &doc, &w->st));
    must(w, model_commit(v, &w->st));
    return read_back(w, type, doc);
}

static const struct value *create(struct world *w, enum element_id type,
                                  const char *body) {
    return create_in(w, type, NULL, body);
}

static const struct value *update(struct world *w, enum element_id type,
                                  const struct value *doc, const char *body,
                                  enum model_update_mode mode) {
    struct model_view *v = view(w);

    must(w, model_get(v, type, value_get_string(doc, "id", ""), &doc, &w->st));
    must(w, model_update(v, type, doc, json(w, body), mode, &doc, &w->st));
    must(w, model_commit(v, &w->st));
    return read_back(w, type, doc);
}

static const struct value *
change(struct world *w, enum element_id type, const struct value *doc,
       int (*fn)(struct model_view *, enum element_id, const struct value *,
                 const struct value **, struct status *)) {
    struct model_view *v = view(w);

    must(w, model_get(v, type, value_get_string(doc, "id", ""), &doc, &w->st));
    must(w, fn(v, type, doc, &doc, &w->st));
    must(w, model_commit(v, &w->st));
    return read_back(w, type, doc);
}

#define assert_text(doc, key, text)                                                      \
    assert_string_equal(value_get_string(doc, key, "(absent)"), text)

static const struct value *with_integration(struct world *w) {
    add_connector(
        w, "{\"id\":\"0000000000000000000c0001\",\"workspaceId\":\"ws1\",\"key\":\"crm\","
           "\"name\":\"CRM\",\"type\":\"client-credentials\"}");
    return create(w, EL_INTEGRATION,
                  "{\"key\":\"crm\",\"name\":\"CRM\","
                  "\"connectorId\":\"0000000000000000000c0001\"}");
}

static const struct value *add_connection(struct world *w, const char *id,
                                          const char *customer,
                                          const struct value *integration) {
    const struct value *doc = value_obj(
        w->arena, "id", value_string(w->arena, id), "workspaceId",
        value_string(w->arena, WS), "userId", value_string(w->arena, customer), "name",
        value_string(w->arena, id), "integrationId", value_get(integration, "id"),
        "state", value_string(w->arena, "READY"), NULL);

    must(w, store_insert(w->store, C_CONNECTIONS, doc, &w->st));
    return doc;
}

/* ---- Creating ---- */

static void a_new_element_has_id_uuid_key_revision_and_state(void **state) {
    struct world *w = *state;
    const struct value *doc =
        create(w, EL_ACTION,
               "{\"name\":\"Get Contact!\",\"type\":\"http-request\","
               "\"config\":{\"request\":{\"b\":1,\"a\":2}},\"junk\":1}");

    assert_text(doc, "key", "get-contact");
    assert_text(doc, "state", "READY");
    assert_int_equal(strlen(value_get_string(doc, "id", "")), 24);
    assert_int_equal(strlen(value_get_string(doc, "uuid", "")), 36);
    assert_int_equal(strlen(value_get_string(doc, "revision", "")), 36);
    assert_false(value_has(doc, "junk"));
    struct bytes text =
        value_encode_arena(w->arena, value_get(doc, "config"), VALUE_ENCODE_COMPACT);
    assert_string_equal(text.data, "{\"request\":{\"b\":1,\"a\":2}}");
}

static void a_taken_key_is_refused_and_a_generated_one_gets_a_number(void **state) {
    struct world *w = *state;
    struct model_view *v = view(w);
    const struct value *doc;

    create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\"}");
    must(w, model_create(v, EL_ACTION, NULL, json(w, "{\"key\":\"a\",\"name\":\"A\"}"),
                         &doc, &w->st));
    assert_int_equal(model_commit(v, &w->st), -1);
    assert_string_equal(w->st.key, "already_exists");
    assert_non_null(strstr(w->st.message, "Action with key \"a\""));
    st_clear(&w->st);
    assert_text(create(w, EL_ACTION, "{\"name\":\"A\"}"), "key", "a-2");
}

static void bad_input_names_the_path(void **state) {
    static const struct {
        enum element_id type;
        const char *body, *path;
    } rows[] = {
        {EL_ACTION, "{}", "name"},
        {EL_ACTION, "{\"name\":1}", "name"},
        {EL_ACTION, "{\"name\":\"x\",\"type\":\"nope\"}", "type"},
        {EL_ACTION, "{\"name\":\"x\",\"config\":[]}", "config"},
        {EL_ACTION, "{\"name\":\"x\",\"key\":\"\"}", "key"},
        {EL_ACTION, "{\"name\":\"x\",\"integrationKey\":\"none\"}", "integrationKey"},
        {EL_ACTION, "{\"name\":\"x\",\"parentId\":\"none\"}", "parentId"},
        {EL_DATA_SOURCE, "{\"name\":\"x\",\"pullUpdatesIntervalSeconds\":59}",
         "pullUpdatesIntervalSeconds"},
        {EL_FLOW, "{\"name\":\"x\",\"nodes\":{\"a\":{\"links\":{}}}}", "nodes.a.links"},
        {EL_FLOW, "{\"name\":\"x\",\"nodes\":{\"a\":{\"links\":[{\"key\":\"a\"}]}}}",
         "nodes"},
        {EL_APP_EVENT_TYPE, "{\"name\":\"x\",\"subscribeRequest\":{}}",
         "subscribeRequest.uri"},
        {EL_INTEGRATION, "{\"name\":\"x\",\"oAuthCallbackUri\":\"nope\"}",
         "oAuthCallbackUri"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct value *doc;
        st_clear(&w->st);
        if (model_create(view(w), rows[i].type, NULL, json(w, rows[i].body), &doc,
                         &w->st) == 0)
            fail_msg("accepted: %s", rows[i].body);
        assert_int_equal(w->st.type, ST_BAD_REQUEST);
        assert_text(w->st.data, "path", rows[i].path);
    }
}

/* ---- Changing ---- */

static void put_ignores_what_is_not_writable_and_clears_what_is_absent(void **state) {
    struct world *w = *state;
    const struct value *doc =
        create(w, EL_ACTION,
               "{\"key\":\"a\",\"name\":\"A\",\"description\":\"d\","
               "\"type\":\"http-request\",\"config\":{\"x\":1}}");
    const struct value *next =
        update(w, EL_ACTION, doc,
               "{\"id\":\"other\",\"state\":\"BUILDING\",\"workspaceId\":\"ws2\","
               "\"layer\":\"connection\",\"revision\":\"r\",\"name\":\"B\","
               "\"type\":\"http-request\",\"integration\":{\"id\":1},\"errors\":[1]}",
               MODEL_PUT);

    assert_text(next, "id", value_get_string(doc, "id", ""));
    assert_text(next, "workspaceId", WS);
    assert_text(next, "state", "READY");
    assert_text(next, "name", "B");
    assert_text(next, "key", "a");
    assert_false(value_has(next, "config"));
    assert_false(value_has(next, "description"));
    assert_string_not_equal(value_get_string(next, "revision", ""),
                            value_get_string(doc, "revision", ""));
}

static void patch_changes_only_what_it_names(void **state) {
    struct world *w = *state;
    const struct value *doc = create(w, EL_ACTION,
                                     "{\"key\":\"a\",\"name\":\"A\",\"config\":{\"x\":1},"
                                     "\"type\":\"http-request\"}");
    const struct value *next = update(w, EL_ACTION, doc, "{\"name\":\"B\"}", MODEL_PATCH);

    assert_true(value_has(next, "config"));
    assert_text(next, "name", "B");
    next = update(w, EL_ACTION, next, "{\"config\":null}", MODEL_PATCH);
    assert_false(value_has(next, "config"));
}

static void an_archived_element_cant_be_changed_until_it_is_restored(void **state) {
    struct world *w = *state;
    const struct value *doc = create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\"}");
    struct model_view *v = view(w);

    doc = change(w, EL_ACTION, doc, model_archive);
    assert_true(value_has(doc, "archivedAt"));
    assert_int_equal(model_update(v, EL_ACTION, doc, json(w, "{\"name\":\"B\"}"),
                                  MODEL_PATCH, &doc, &w->st),
                     -1);
    assert_non_null(strstr(w->st.message, "archived"));
    st_clear(&w->st);
    const struct value *second = create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A2\"}");
    struct model_selector by_key = {.text = "a"};
    must(w, model_resolve(view(w), EL_ACTION, &by_key, &doc, &w->st));
    assert_text(doc, "id", value_get_string(second, "id", ""));
}

/* ---- Layers ---- */

static void a_child_follows_its_parent_until_it_is_customised(void **state) {
    struct world *w = *state;
    const struct value *integration = with_integration(w), *child;
    const struct value *parent =
        create(w, EL_ACTION,
               "{\"key\":\"a\",\"name\":\"A\",\"type\":\"http-request\","
               "\"config\":{\"x\":1}}");
    struct model_view *v = view(w);

    must(w, model_apply(v, EL_ACTION, parent, integration, &child, &w->st));
    must(w, model_commit(v, &w->st));
    child = read_back(w, EL_ACTION, child);
    assert_text(child, "parentId", value_get_string(parent, "id", ""));
    assert_text(child, "parentRevision", value_get_string(parent, "revision", ""));
    assert_text(child, "integrationId", value_get_string(integration, "id", ""));
    assert_true(value_equal(value_get(child, "config"), value_get(parent, "config")));

    parent = update(w, EL_ACTION, parent, "{\"config\":{\"x\":2}}", MODEL_PATCH);
    child = read_back(w, EL_ACTION, child);
    assert_true(value_equal(value_get(child, "config"), value_get(parent, "config")));
    assert_text(child, "parentRevision", value_get_string(parent, "revision", ""));
    assert_false(value_get_bool(child, "isCustomized", true));

    child = update(w, EL_ACTION, child, "{\"config\":{\"x\":9}}", MODEL_PATCH);
    assert_true(value_get_bool(child, "isCustomized", false));
    update(w, EL_ACTION, parent, "{\"config\":{\"x\":3}}", MODEL_PATCH);
    child = read_back(w, EL_ACTION, child);
    assert_true(value_equal(value_get(child, "config"), json(w, "{\"x\":9}")));

    v = view(w);
    must(w, model_reset(v, EL_ACTION, child, &value_undefined, &child, &w->st));
    must(w, model_commit(v, &w->st));
    child = read_back(w, EL_ACTION, child);
    assert_true(value_equal(value_get(child, "config"), json(w, "{\"x\":3}")));
    assert_false(value_get_bool(child, "isCustomized", true));
}

static void the_first_use_with_a_connection_makes_the_instance_once(void **state) {
    struct world *w = *state;
    const struct value *integration = with_integration(w), *first, *again, *other;
    struct model_selector s = {
        .text = "contacts", .connection = "conn1", .auto_create = true};

    create(w, EL_DATA_SOURCE,
           "{\"key\":\"contacts\",\"name\":\"C\",\"udm\":\"contacts\"}");
    const struct value *middle =
        create(w, EL_DATA_SOURCE,
               "{\"parentKey\":\"contacts\",\"integrationKey\":\"crm\","
               "\"collectionKey\":\"people\"}");
    assert_true(value_get_bool(middle, "isCustomized", false));
    assert_text(middle, "universalDataSourceId",
                value_get_string(middle, "universalDataSourceId", "?"));
    add_connection(w, "conn1", "cu1", integration);
    must(w, model_resolve(view(w), EL_DATA_SOURCE, &s, &first, &w->st));
    assert_text(first, "layer", "connection");
    assert_text(first, "dataSourceId", value_get_string(middle, "id", ""));
    assert_text(first, "collectionKey", "people");
    assert_text(first, "userId", "cu1");
    must(w, model_resolve(view(w), EL_DATA_SOURCE, &s, &again, &w->st));
    assert_text(again, "id", value_get_string(first, "id", ""));
    s.instance_key = "second";
    must(w, model_resolve(view(w), EL_DATA_SOURCE, &s, &other, &w->st));
    assert_string_not_equal(value_get_string(other, "id", ""),
                            value_get_string(first, "id", ""));
    assert_text(other, "instanceKey", "second");
}

static void a_customer_never_reaches_what_belongs_to_another(void **state) {
    struct world *w = *state;
    const struct value *integration = with_integration(w), *mine, *doc;
    struct model_selector s = {.text = "a", .connection = "conn2", .auto_create = true};
    struct model_view *v = model_view_new(&w->deps, w->arena, &w->customer, WS);

    create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\",\"type\":\"http-request\"}");
    add_connection(w, "conn1", "cu1", integration);
    add_connection(w, "conn2", "cu2", integration);
    must(w, model_resolve(view(w), EL_ACTION, &s, &mine, &w->st));
    assert_int_equal(model_resolve(v, EL_ACTION, &s, &doc, &w->st), -1);
    assert_string_equal(w->st.key, "not_found");
    const char *const ways[] = {"text", "id"};
    for (size_t i = 0; i < 2; i++) {
        struct model_selector by_id = {0};
        if (i == 0)
            by_id.text = value_get_string(mine, "id", "");
        else
            by_id.id = value_get_string(mine, "id", "");
        for (int only = 0; only < 2; only++) {
            by_id.instance_only = only;
            st_clear(&w->st);
            if (model_resolve(v, EL_ACTION, &by_id, &doc, &w->st) == 0)
                fail_msg("reached by %s", ways[i]);
            assert_string_equal(w->st.key, "not_found");
        }
    }
    struct model_view *elsewhere =
        model_view_new(&w->deps, w->arena, NULL, "another workspace");
    assert_int_equal(
        model_get(elsewhere, EL_ACTION, value_get_string(mine, "id", ""), &doc, &w->st),
        1);
}

static void a_key_of_several_integrations_must_be_qualified(void **state) {
    struct world *w = *state;
    const struct value *doc;
    struct model_selector bare = {.text = "a"}, qualified = {.text = "hr.a"};

    with_integration(w);
    create(
        w, EL_INTEGRATION,
        "{\"key\":\"hr\",\"name\":\"HR\",\"connectorId\":\"0000000000000000000c0001\"}");
    create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\",\"integrationKey\":\"crm\"}");
    must(w, model_resolve(view(w), EL_ACTION, &bare, &doc, &w->st));
    create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\",\"integrationKey\":\"hr\"}");
    assert_int_equal(model_resolve(view(w), EL_ACTION, &bare, &doc, &w->st), -1);
    assert_non_null(strstr(w->st.message, "several integrations"));
    st_clear(&w->st);
    must(w, model_resolve(view(w), EL_ACTION, &qualified, &doc, &w->st));
    struct model_selector by_query = {.key = "a", .integration_key = "crm"};
    const struct value *other;
    must(w, model_resolve(view(w), EL_ACTION, &by_query, &other, &w->st));
    assert_string_not_equal(value_get_string(doc, "id", ""),
                            value_get_string(other, "id", ""));
}

/* ---- States ---- */

static const struct value *first_error(const struct value *doc) {
    return value_at(value_get(doc, "errors"), 0);
}

static void a_missing_connector_spreads_and_its_arrival_heals(void **state) {
    struct world *w = *state;
    const struct value *integration =
        create(w, EL_INTEGRATION,
               "{\"key\":\"crm\",\"name\":\"CRM\",\"connectorId\":"
               "\"0000000000000000000c0001\"}");
    const struct value *action =
        create(w, EL_ACTION,
               "{\"key\":\"a\",\"name\":\"A\",\"type\":\"http-request\","
               "\"integrationKey\":\"crm\"}");

    assert_text(integration, "state", "CONFIGURATION_ERROR");
    assert_text(first_error(integration), "type", "configuration");
    assert_non_null(strstr(value_get_string(first_error(integration), "message", ""),
                           "0000000000000000000c0001"));
    assert_text(action, "state", "CONFIGURATION_ERROR");
    assert_text(first_error(action), "type", "dependency_error");
    assert_string_equal(value_text(value_path(first_error(action), "data",
                                              "workspaceElementReference", "id", NULL)),
                        value_get_string(integration, "id", ""));

    add_connector(
        w,
        "{\"id\":\"0000000000000000000c0001\",\"workspaceId\":\"ws1\",\"key\":\"crm\"}");
    struct model_view *v = view(w);
    must(w, model_connector_changed(v, json(w, "{\"id\":\"0000000000000000000c0001\"}"),
                                    &w->st));
    must(w, model_commit(v, &w->st));
    assert_text(read_back(w, EL_INTEGRATION, integration), "state", "READY");
    assert_text(read_back(w, EL_ACTION, action), "state", "READY");
    assert_int_equal(
        value_items_count(value_get(read_back(w, EL_ACTION, action), "errors")), 0);
}

static void what_names_a_data_source_waits_for_it(void **state) {
    struct world *w = *state;
    const struct value *action =
        create(w, EL_ACTION,
               "{\"key\":\"a\",\"name\":\"A\",\"type\":\"list-data-records\","
               "\"config\":{\"dataSource\":{\"key\":\"contacts\"}}}");
    const struct value *flow =
        create(w, EL_FLOW,
               "{\"key\":\"f\",\"name\":\"F\",\"nodes\":{\"n\":{\"type\":\"run-action\","
               "\"config\":{\"actionKey\":\"a\"}}}}");

    assert_text(action, "state", "CONFIGURATION_ERROR");
    assert_text(flow, "state", "CONFIGURATION_ERROR");
    const struct value *source =
        create(w, EL_DATA_SOURCE, "{\"key\":\"contacts\",\"name\":\"C\"}");
    action = read_back(w, EL_ACTION, action);
    assert_text(action, "state", "READY");
    assert_text(value_at(value_get(action, "dependencies"), 0), "id",
                value_get_string(source, "id", ""));
    assert_text(read_back(w, EL_FLOW, flow), "state", "READY");

    change(w, EL_DATA_SOURCE, source, model_archive);
    action = read_back(w, EL_ACTION, action);
    assert_text(action, "state", "CONFIGURATION_ERROR");
    assert_true(value_get_bool(action, "isDeactivated", false));
    assert_text(read_back(w, EL_FLOW, flow), "state", "CONFIGURATION_ERROR");

    struct model_view *v = view(w);
    must(w, model_get(v, EL_DATA_SOURCE, value_get_string(source, "id", ""), &source,
                      &w->st));
    must(w, model_restore(v, EL_DATA_SOURCE, source, &source, &w->st));
    must(w, model_commit(v, &w->st));
    action = read_back(w, EL_ACTION, action);
    assert_text(action, "state", "READY");
    assert_false(value_get_bool(action, "isDeactivated", true));
    assert_text(read_back(w, EL_FLOW, flow), "state", "READY");
}

static void required_parameters_that_lack_are_an_error(void **state) {
    struct world *w = *state;
    const struct value *doc;

    add_connector(w, "{\"id\":\"0000000000000000000c0001\",\"workspaceId\":\"ws1\","
                     "\"parametersSchema\":"
                     "{\"type\":\"object\",\"required\":[\"clientId\"]}}");
    doc = create(w, EL_INTEGRATION,
                 "{\"name\":\"CRM\",\"connectorId\":\"0000000000000000000c0001\"}");
    assert_true(value_get_bool(doc, "hasMissingParameters", false));
    assert_text(doc, "state", "CONFIGURATION_ERROR");
    doc = update(w, EL_INTEGRATION, doc, "{\"parameters\":{\"clientId\":\"x\"}}",
                 MODEL_PATCH);
    assert_false(value_get_bool(doc, "hasMissingParameters", true));
    assert_text(doc, "state", "READY");
}

/* ---- Flows ---- */

static void a_flow_instance_is_customised_node_by_node(void **state) {
    struct world *w = *state;
    const struct value *integration = with_integration(w), *instance;
    struct model_selector s = {.text = "f", .connection = "conn1", .auto_create = true};
    const struct value *flow =
        create(w, EL_FLOW,
               "{\"key\":\"f\",\"name\":\"F\",\"nodes\":{"
               "\"a\":{\"type\":\"api-trigger\",\"links\":[{\"key\":\"b\"}]},"
               "\"b\":{\"type\":\"transform-data\",\"config\":{\"output\":1}}}}");

    add_connection(w, "conn1", "cu1", integration);
    must(w, model_resolve(view(w), EL_FLOW, &s, &instance, &w->st));
    assert_false(value_get_bool(instance, "enabled", true));
    instance =
        update(w, EL_FLOW, instance,
               "{\"nodes\":{\"a\":{\"type\":\"api-trigger\",\"links\":[{\"key\":\"b\"}]},"
               "\"b\":{\"type\":\"transform-data\",\"config\":{\"output\":7}}}}",
               MODEL_PATCH);
    assert_true(value_get_bool(value_get(instance, "customized"), "nodes", false));
    assert_true(value_is_true(value_path(instance, "nodes", "b", "isCustomized", NULL)));
    assert_false(value_is_true(value_path(instance, "nodes", "a", "isCustomized", NULL)));

    update(w, EL_FLOW, flow,
           "{\"nodes\":{\"a\":{\"type\":\"api-trigger\",\"name\":\"Start\","
           "\"links\":[{\"key\":\"b\"}]},"
           "\"b\":{\"type\":\"transform-data\",\"config\":{\"output\":2}}}}",
           MODEL_PATCH);
    instance = read_back(w, EL_FLOW, instance);
    assert_string_equal(value_text(value_path(instance, "nodes", "a", "name", NULL)),
                        "Start");
    assert_true(value_path(instance, "nodes", "b", "config", "output", NULL)->number ==
                7);

    struct model_view *v = view(w);
    must(w, model_reset(v, EL_FLOW, instance, json(w, "{\"nodes\":{\"b\":true}}"),
                        &instance, &w->st));
    must(w, model_commit(v, &w->st));
    instance = read_back(w, EL_FLOW, instance);
    assert_true(value_path(instance, "nodes", "b", "config", "output", NULL)->number ==
                2);
    assert_false(value_get_bool(instance, "isCustomized", true));
}

/* ---- Serving ---- */

static void served_elements_hide_private_members_and_show_joins(void **state) {
    struct world *w = *state;
    const struct value *integration = with_integration(w), *out;
    struct model_selector s = {.text = "a", .connection = "conn1", .auto_create = true};
    struct model_view *v = view(w);
    const struct value *doc;

    update(w, EL_INTEGRATION, integration, "{\"parameters\":{\"secret\":1}}",
           MODEL_PATCH);
    create(w, EL_ACTION, "{\"key\":\"a\",\"name\":\"A\",\"type\":\"http-request\"}");
    add_connection(w, "conn1", "cu1", integration);
    must(w, model_resolve(v, EL_ACTION, &s, &doc, &w->st));
    must(w, model_render(v, EL_ACTION, doc, MODEL_RENDER_JOINS, &out, &w->st));
    assert_false(value_has(out, "workspaceId"));
    assert_false(value_has(out, "slot"));
    assert_false(value_has(out, "layer"));
    assert_text(value_get(out, "integration"), "key", "crm");
    assert_true(value_has(value_get(out, "integration"), "logoUri"));
    assert_false(value_has(value_get(out, "integration"), "parameters"));
    assert_text(value_get(out, "connection"), "id", "conn1");
    assert_text(value_get(out, "parent"), "key", "a");

    struct model_view *theirs = model_view_new(&w->deps, w->arena, &w->customer, WS);
    integration = read_back(w, EL_INTEGRATION, integration);
    must(w, model_render(theirs, EL_INTEGRATION, integration, 0, &out, &w->st));
    assert_false(value_has(out, "parameters"));
    must(w, model_render(v, EL_INTEGRATION, integration, 0, &out, &w->st));
    assert_true(value_has(out, "parameters"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_new_element_has_id_uuid_key_revision_and_state),
        T(a_taken_key_is_refused_and_a_generated_one_gets_a_number),
        T(bad_input_names_the_path),
        T(put_ignores_what_is_not_writable_and_clears_what_is_absent),
        T(patch_changes_only_what_it_names),
        T(an_archived_element_cant_be_changed_until_it_is_restored),
        T(a_child_follows_its_parent_until_it_is_customised),
        T(the_first_use_with_a_connection_makes_the_instance_once),
        T(a_customer_never_reaches_what_belongs_to_another),
        T(a_key_of_several_integrations_must_be_qualified),
        T(a_missing_connector_spreads_and_its_arrival_heals),
        T(what_names_a_data_source_waits_for_it),
        T(required_parameters_that_lack_are_an_error),
        T(a_flow_instance_is_customised_node_by_node),
        T(served_elements_hide_private_members_and_show_joins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
