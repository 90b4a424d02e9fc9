/*
 * The element routes: both address families, lists and pages, instances, who may do what.
 */
#include "api_world.h"
#include "data/data.h"
#include "integration/integration.h"
#include "model/model_cache.h"

static void plural_and_singular_addresses_reach_the_same_element(void **state) {
    struct world *w = *state;
    const struct value *doc =
        expect(w, 201, "POST", "/actions", "{'name':'Get it','type':'http-request'}");
    const char *const ways[] = {"/actions/get-it", "/action?key=get-it"};

    for (size_t i = 0; i < 2; i++)
        assert_same_id(doc, expect(w, 200, "GET", ways[i], NULL));
    assert_same_id(doc,
                   expect(w, 200, "GET", path_to(w, "/action?id=%s", id_of(doc)), NULL));
    assert_same_id(doc,
                   expect(w, 200, "GET", path_to(w, "/actions/%s", id_of(doc)), NULL));
    assert_text(expect(w, 200, "PATCH", "/action?key=get-it", "{'name':'B'}"), "name",
                "B");
    assert_text(expect(w, 200, "PUT", "/actions/get-it", "{'name':'C','state':'X'}"),
                "name", "C");
    expect(w, 404, "GET", "/actions/none", NULL);
    expect(w, 404, "GET", "/action?key=none", NULL);
    expect(w, 404, "GET", "/action", NULL);
    assert_true(
        value_has(expect(w, 200, "DELETE", "/action?key=get-it", NULL), "archivedAt"));
    assert_true(value_has(expect(w, 200, "GET", "/actions/get-it", NULL), "archivedAt"));
    assert_text(expect(w, 400, "PATCH", "/actions/get-it", "{'name':'D'}"), "type",
                "bad_request");
    assert_false(
        value_has(expect(w, 201, "POST", "/actions/get-it/restore", NULL), "archivedAt"));
}

static void workspaces_do_not_see_each_other(void **state) {
    struct world *w = *state;
    const struct value *doc = expect(w, 201, "POST", "/flows", "{'name':'F'}");
    const char *id = id_of(doc);

    expect_as(w, &w->other, 404, "GET", path_to(w, "/flows/%s", id), NULL);
    expect_as(w, &w->other, 404, "GET", "/flows/f", NULL);
    expect_as(w, &w->other, 404, "PATCH", path_to(w, "/flow?id=%s", id), "{'name':'X'}");
    expect_as(w, &w->other, 404, "DELETE", path_to(w, "/flows/%s", id), NULL);
    assert_int_equal(
        value_get(expect_as(w, &w->other, 200, "GET", "/flows", NULL), "items")->len, 0);
    expect_as(w, &w->other, 201, "POST", "/flows", "{'name':'F','key':'f'}");
}

static size_t count(const struct value *page) {
    return value_items_count(value_get(page, "items"));
}

static void pages_are_stable_and_a_full_page_has_a_cursor(void **state) {
    struct world *w = *state;
    const struct value *page;
    const char *cursor = "0";
    int seen = 0, pages = 0;

    for (int i = 0; i < 7; i++) {
        clock_fake_advance(&w->clock, i % 2);
        expect(w, 201, "POST", "/data-sources", path_to(w, "{'name':'s%d'}", i));
    }
    while (cursor) {
        page =
            expect(w, 200, "GET",
                   path_to(w, "/data-sources?limit=3&hash=12&cursor=%s", cursor), NULL);
        for (VALUE_EACH_ITEM(doc, value_get(page, "items")))
            assert_text(doc, "name", path_to(w, "s%d", 6 - seen++));
        cursor = value_get_string(page, "cursor", NULL);
        assert_int_equal(cursor != NULL, count(page) == 3);
        assert_true(++pages < 5);
    }
    assert_int_equal(seen, 7);
    assert_int_equal(count(expect(w, 200, "GET", "/data-sources?search=S3", NULL)), 1);
    expect(w, 200, "DELETE", "/data-sources/s3", NULL);
    assert_int_equal(count(expect(w, 200, "GET", "/data-sources", NULL)), 6);
    assert_int_equal(
        count(expect(w, 200, "GET", "/data-sources?includeArchived=1", NULL)), 7);
    expect(w, 400, "GET", "/data-sources?limit=1001", NULL);
    expect(w, 400, "GET", "/data-sources?limit=0", NULL);
    expect(w, 400, "GET", "/data-sources?cursor=garbage", NULL);
    expect(w, 400, "GET", "/data-sources?layer=heaven", NULL);
}

static void integration_addresses_use_the_own_element_or_the_universal_one(void **state) {
    struct world *w = *state;
    const struct value *integration = with_connections(w);
    const struct value *universal =
        expect(w, 201, "POST", "/actions",
               "{'key':'a','name':'A','type':'http-request','config':{'x':1}}");
    const struct value *own;

    assert_same_id(universal, expect(w, 200, "GET", "/integrations/crm/actions/a", NULL));
    assert_int_equal(count(expect(w, 200, "GET", "/integrations/crm/actions", NULL)), 0);
    expect(w, 404, "DELETE", "/integrations/crm/actions/a", NULL);
    own = expect(w, 200, "PATCH", "/integrations/crm/actions/a", "{'config':{'x':2}}");
    assert_text(own, "integrationId", id_of(integration));
    assert_text(own, "parentId", id_of(universal));
    assert_true(value_get_bool(own, "isCustomized", false));
    assert_text(value_get(own, "integration"), "key", "crm");
    assert_same_id(own, expect(w, 200, "GET", "/integrations/crm/actions/a", NULL));
    assert_same_id(own, expect(w, 200, "GET", "/actions/crm.a", NULL));
    assert_same_id(own, expect(w, 200, "GET", "/action?key=a&integrationKey=crm", NULL));
    assert_same_id(own, expect(w, 200, "GET", "/actions/a?integrationKey=crm", NULL));
    assert_same_id(universal, expect(w, 200, "GET", "/actions/a", NULL));
    assert_int_equal(count(expect(w, 200, "GET", "/integrations/crm/actions", NULL)), 1);
    assert_int_equal(count(expect(w, 200, "GET", "/actions", NULL)), 2);
    assert_int_equal(count(expect(w, 200, "GET", "/actions?layer=universal", NULL)), 1);
    assert_int_equal(count(expect(w, 200, "GET", "/actions?integrationKey=none", NULL)),
                     0);
    assert_int_equal(
        count(expect(w, 200, "GET", path_to(w, "/actions?parentId=%s", id_of(universal)),
                     NULL)),
        1);
    const struct value *applied =
        value_get(expect(w, 200, "GET", "/actions/a", NULL), "appliedToIntegrations");
    assert_int_equal(value_items_count(applied), 1);
    assert_text(value_get(value_at(applied, 0), "integration"), "key", "crm");
    own = expect(w, 201, "POST", "/integrations/crm/actions/a/reset", NULL);
    assert_false(value_get_bool(own, "isCustomized", true));
    expect(w, 404, "GET", "/integrations/none/actions/a", NULL);
    expect(w, 404, "GET", "/integrations/none/actions", NULL);
    assert_int_equal(value_items_count(expect(w, 201, "POST", "/action/apply?key=a",
                                              "{'integrationKeys':['crm']}")),
                     1);
}

static void instances_are_made_on_request_and_changed_by_their_customer(void **state) {
    struct world *w = *state;
    const struct value *one, *two;

    with_connections(w);
    expect(w, 201, "POST", "/flows",
           "{'key':'f','name':'F','nodes':{'a':{'type':'api-trigger'}}}");
    expect_as(w, &w->customer, 404, "GET", "/connections/conn1/flows/f", NULL);
    expect_as(w, &w->customer, 404, "GET", "/flow-instance?flowKey=f&integrationKey=crm",
              NULL);
    one = expect_as(w, &w->customer, 200, "GET",
                    "/connections/crm/flows/f?autoCreate=true", NULL);
    assert_text(one, "connectionId", "conn1");
    assert_text(one, "userId", "cu1");
    assert_text(value_get(one, "flow"), "key", "f");
    assert_text(value_get(one, "user"), "internalId", "u1");
    assert_false(value_has(value_get(one, "user"), "credentials"));
    const char *const ways[] = {
        "/flow-instance?flowKey=f&integrationKey=crm",
        "/flow-instance?parentKey=f&connectionId=conn1",
        "/connections/conn1/flows/f",
        "/flows/f?connectionId=conn1",
        path_to(w, "/flow-instance?id=%s", id_of(one)),
        path_to(w, "/flow-instances/%s", id_of(one)),
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        assert_same_id(one, expect_as(w, &w->customer, 200, "GET", ways[i], NULL));
    one = expect_as(w, &w->customer, 200, "PATCH", "/connections/crm/flows/f",
                    "{'enabled':true}");
    assert_true(value_get_bool(one, "enabled", false));
    assert_false(value_get_bool(one, "isCustomized", true));
    two =
        expect_as(w, &w->customer, 201, "POST",
                  "/flow-instance?flowKey=f&connectionId=conn1&instanceKey=second", NULL);
    assert_string_not_equal(id_of(one), id_of(two));
    assert_text(two, "instanceKey", "second");
    assert_int_equal(
        count(expect_as(w, &w->customer, 200, "GET", "/flow-instances", NULL)), 2);
    assert_int_equal(count(expect_as(w, &w->customer, 200, "GET",
                                     "/flow-instances?instanceKey=second", NULL)),
                     1);
    assert_int_equal(count(expect_as(w, &w->customer, 200, "GET",
                                     "/connections/conn1/flows?flowKey=f", NULL)),
                     2);
    assert_int_equal(count(expect(w, 200, "GET", "/flow-instances?userId=u2", NULL)), 0);
    assert_int_equal(count(expect(w, 200, "GET", "/flow-instances?userId=u1", NULL)), 2);
    expect_as(w, &w->customer, 200, "DELETE",
              "/flow-instance?flowKey=f&connectionId=conn1&instanceKey=second", NULL);
    expect_as(w, &w->customer, 201, "POST",
              "/flow-instance/restore?flowKey=f&connectionId=conn1&instanceKey=second",
              NULL);
    expect_as(w, &w->customer, 201, "POST",
              path_to(w, "/flow-instances/%s/update-to-latest-flow", id_of(one)), NULL);
    expect_as(w, &w->customer, 201, "POST",
              path_to(w, "/flow-instances/%s/reset", id_of(one)), "{'allNodes':true}");
    const struct value *made =
        expect_as(w, &w->customer, 201, "POST", "/flow-instances",
                  "{'flowKey':'f','connectionId':'conn1','instanceKey':'third'}");
    assert_text(made, "instanceKey", "third");
}

static void customers_reach_neither_shared_elements_nor_other_customers(void **state) {
    struct world *w = *state;
    const struct value *theirs, *shared;

    with_connections(w);
    shared = expect(w, 201, "POST", "/actions", "{'key':'a','name':'A'}");
    theirs = expect(w, 200, "PUT", "/connections/conn2/actions/a", NULL);
    const char *const gone[][2] = {
        {"GET", "/connections/conn2/actions/a"},
        {"PUT", "/connections/conn2/actions/a"},
        {"GET", path_to(w, "/action-instance?id=%s", id_of(theirs))},
        {"GET", path_to(w, "/actions/%s", id_of(theirs))},
        {"PATCH", path_to(w, "/action-instance?id=%s", id_of(theirs))},
        {"DELETE", path_to(w, "/connections/conn1/actions/%s", id_of(theirs))},
        {"GET", "/action-instance?parentKey=a&connectionId=conn2"},
        {"GET", "/action-instance?parentKey=a&connectionId=conn2&autoCreate=1"},
        {"GET", "/actions/a?connectionId=conn2"},
    };
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        expect_as(w, &w->customer, 404, gone[i][0], gone[i][1], NULL);
    assert_same_id(shared, expect_as(w, &w->customer, 200, "GET", "/actions/a", NULL));
    expect_as(w, &w->customer, 403, "PATCH", "/actions/a", "{'name':'X'}");
    assert_int_equal(
        count(expect_as(w, &w->customer, 200, "GET", "/action-instances", NULL)), 0);
    assert_int_equal(count(expect_as(w, &w->customer, 200, "GET",
                                     "/action-instances?userId=u2", NULL)),
                     0);
    /* An id is only found under its own connection, also by admins. */
    expect(w, 404, "PATCH", path_to(w, "/connections/conn1/actions/%s", id_of(theirs)),
           "{'name':'X'}");
    expect(w, 200, "PATCH", path_to(w, "/connections/conn2/actions/%s", id_of(theirs)),
           "{'name':'X'}");
    /* An instance of a shared element's id is the customer's own one. */
    const struct value *own = expect_as(
        w, &w->customer, 200, "PUT",
        path_to(w, "/connections/conn1/actions/%s", id_of(shared)), "{'name':'Mine'}");
    assert_text(own, "connectionId", "conn1");
    assert_text(expect(w, 200, "GET", "/actions/a", NULL), "name", "A");
}

static void customer_level_schemas_and_subscriptions_work(void **state) {
    struct world *w = *state;
    const struct value *doc;

    with_connections(w);
    expect(w, 201, "POST", "/app-data-schemas",
           "{'key':'contact','name':'Contact','schema':{'type':'object'}}");
    doc = expect_as(w, &w->customer, 200, "GET",
                    "/app-data-schema-instance?appDataSchemaKey=contact&autoCreate=true",
                    NULL);
    assert_text(doc, "userId", "cu1");
    assert_text(value_get(doc, "appDataSchema"), "key", "contact");
    assert_text(value_get(doc, "schema"), "type", "object");
    doc = expect_as(w, &w->customer, 200, "PATCH",
                    "/app-data-schema-instance?appDataSchemaKey=contact", "{}");
    expect_as(w, &w->customer, 201, "POST",
              "/app-data-schema-instance/setup?appDataSchemaKey=contact", NULL);

    expect(w, 201, "POST", "/app-event-types",
           "{'key':'placed','name':'Placed','schema':{'type':'object'},"
           "'subscribeRequest':{'uri':'https://x.example/subscribe','method':'post'}}");
    doc = expect_as(w, &w->customer, 201, "POST",
                    "/app-event-subscription?appEventTypeKey=placed", NULL);
    assert_text(value_get(doc, "appEventType"), "key", "placed");
    assert_false(value_get_bool(doc, "isSubscribed", true));
    assert_true(value_has(doc, "webhookUri"));
    assert_true(value_is_object(value_get(doc, "subscriptionRequest")));
    assert_false(value_has(doc, "webhookKey"));
    assert_same_id(doc, expect_as(w, &w->customer, 200, "GET",
                                  path_to(w, "/app-event-subscription?id=%s", id_of(doc)),
                                  NULL));
    assert_int_equal(
        count(expect_as(w, &w->customer, 200, "GET", "/app-event-subscriptions", NULL)),
        1);
    assert_text(expect_as(w, &w->customer, 200, "GET",
                          "/app-event-subscription/schema?appEventTypeKey=placed", NULL),
                "type", "object");
}

static void clones_and_exports_are_independent(void **state) {
    struct world *w = *state;
    const struct value *doc, *copy, *out;

    with_connections(w);
    doc = expect(w, 201, "POST", "/flows",
                 "{'key':'f','name':'F','nodes':{'a':{'type':'api-trigger'}}}");
    copy = expect(w, 201, "POST", "/flows/f/clone", NULL);
    assert_text(copy, "key", "f-copy");
    assert_string_not_equal(id_of(copy), id_of(doc));
    assert_string_not_equal(value_get_string(copy, "uuid", ""),
                            value_get_string(doc, "uuid", ""));
    assert_true(value_equal(value_get(copy, "nodes"), value_get(doc, "nodes")));
    expect(w, 201, "POST", "/flow/apply?key=f", "{'integrationKeys':['crm']}");
    out = expect(w, 200, "GET", "/flows/crm.f/export", NULL);
    assert_text(out, "parentUuid", value_get_string(doc, "uuid", ""));
    assert_true(value_has(out, "integrationUuid"));
    assert_false(value_has(out, "id"));
    assert_false(value_has(out, "state"));
}

static void links_lead_both_ways_and_repeat_harmlessly(void **state) {
    static const char table[] =
        "/data-link-table-instance/links?dataLinkTableKey=contacts&connectionId=conn1";
    struct world *w = *state;
    const struct value *link, *page;

    data_routes(w->router);
    with_connections(w);
    expect(w, 201, "POST", "/data-link-tables", "{'key':'contacts','name':'Contacts'}");
    expect_as(w, &w->customer, 404, "GET", table, NULL);
    for (int i = 0; i < 2; i++)
        link = expect_as(w, &w->customer, 201, "POST", table,
                         "{'externalRecordId':'e1','appRecordId':'a1'}");
    assert_text(link, "direction", "both");
    expect_as(w, &w->customer, 201, "POST", table,
              "{'externalRecordId':'e2','appRecordId':'a2','direction':'import'}");
    assert_int_equal(count(expect_as(w, &w->customer, 200, "GET", table, NULL)), 3);
    page = expect_as(w, &w->customer, 200, "GET",
                     path_to(w, "%s&direction=import&externalRecordId=e2", table), NULL);
    assert_int_equal(count(page), 1);
    link = value_at(value_get(page, "items"), 0);
    assert_text(link, "appRecordId", "a2");
    assert_int_equal(link->len, 5);
    const char *by_table = path_to(w, "/data-links?dataLinkTableInstanceId=%s",
                                   value_get_string(link, "dataLinkTableInstanceId", ""));
    assert_int_equal(count(expect(w, 200, "GET", by_table, NULL)), 3);
    struct caller stranger = {.workspace_id = WS, .customer_id = "cu2"};
    assert_int_equal(count(expect_as(w, &stranger, 200, "GET", by_table, NULL)), 0);
    expect_as(w, &stranger, 404, "DELETE", path_to(w, "/data-links/%s", id_of(link)),
              NULL);
    expect_as(w, &w->customer, 200, "DELETE", path_to(w, "/data-links/%s", id_of(link)),
              NULL);
    expect_as(w, &w->customer, 200, "DELETE", table,
              "{'externalRecordId':'e1','appRecordId':'a1','direction':'export'}");
    assert_int_equal(count(expect_as(w, &w->customer, 200, "GET", table, NULL)), 1);
    expect_as(w, &w->customer, 400, "POST", table, "{'externalRecordId':1}");
    expect_as(w, &w->customer, 400, "POST", table,
              "{'externalRecordId':'e','appRecordId':'a','direction':'up'}");
}

static void integrations_show_the_callers_connection_and_hide_parameters(void **state) {
    struct world *w = *state;
    const struct value *doc;

    integration_routes(w->router);
    with_connections(w);
    expect(w, 200, "PUT", "/integrations/crm/parameters", "{'clientId':'x'}");
    assert_text(expect(w, 200, "GET", "/integrations/crm/parameters", NULL), "clientId",
                "x");
    expect_as(w, &w->customer, 403, "GET", "/integrations/crm/parameters", NULL);
    doc = expect_as(w, &w->customer, 200, "GET", "/integrations/crm", NULL);
    assert_text(value_get(doc, "connection"), "id", "conn1");
    assert_false(value_has(doc, "parameters"));
    doc = expect_as(w, &w->customer, 200, "GET", "/integrations", NULL);
    assert_text(value_get(value_at(value_get(doc, "items"), 0), "connection"), "id",
                "conn1");
    doc = expect(w, 200, "GET", "/integrations/crm", NULL);
    assert_false(value_has(doc, "connection"));
    assert_text(value_get(doc, "parameters"), "clientId", "x");
}

static void cached_answers_change_with_what_they_were_made_of(void **state) {
    struct world *w = *state;
    struct bytes body;
    int seen = 0;

    w->store = store_open_cached(w->store, 1 << 20);
    w->deps.store = w->store;
    w->deps.model_cache = model_cache_new(1 << 20);
    with_connections(w);
    expect(w, 201, "POST", "/actions", "{'key':'a','name':'A'}");
    for (int i = 0; i < 3; i++) {
        const char *name = path_to(w, "N%d", i);
        expect(w, 200, "PATCH", "/actions/a", path_to(w, "{'name':'%s'}", name));
        for (int again = 0; again < 2; again++) {
            assert_text(expect(w, 200, "GET", "/actions/a", NULL), "name", name);
            assert_text(
                value_at(value_get(expect(w, 200, "GET", "/actions", NULL), "items"), 0),
                "name", name);
        }
        seen += model_cache_get(w->deps.model_cache, w->store, "ws1\n11\n\n/actions/a\n",
                                w->arena, &body);
    }
    assert_int_equal(seen, 3);
    /* joins count, too; and an answer is for one caller only */
    expect_as(w, &w->customer, 200, "PUT", "/connections/conn1/actions/a", NULL);
    for (int i = 0; i < 2; i++) {
        const char *name = path_to(w, "CRM %d", i);
        expect(w, 200, "PATCH", "/integrations/crm", path_to(w, "{'name':'%s'}", name));
        for (int again = 0; again < 2; again++)
            assert_text(value_get(expect_as(w, &w->customer, 200, "GET",
                                            "/connections/conn1/actions/a", NULL),
                                  "integration"),
                        "name", name);
    }
    struct caller stranger = {.workspace_id = WS, .customer_id = "cu2"};
    expect_as(w, &stranger, 404, "GET", "/connections/conn1/actions/a", NULL);
    model_cache_free(&w->deps.model_cache);
}

static void a_flows_node_or_a_model_names_a_data_source(void **state) {
    struct world *w = *state;
    const struct value *doc;

    with_connections(w);
    expect(w, 201, "POST", "/data-sources", "{'key':'c','name':'C','udm':'contacts'}");
    expect(w, 201, "POST", "/field-mappings", "{'key':'m','name':'M'}");
    expect(w, 201, "POST", "/flows",
           "{'key':'f','name':'F','nodes':{'n':{'type':'list-data-records','config':"
           "{'dataSource':{'key':'c'},'fieldMapping':{'key':'m'}}}}}");
    doc = expect_as(w, &w->customer, 200, "GET",
                    "/data-source-instance?flowKey=f&nodeKey=n&connectionId=conn1"
                    "&autoCreate=1",
                    NULL);
    assert_text(value_get(doc, "dataSource"), "key", "c");
    assert_same_id(doc, expect_as(w, &w->customer, 200, "GET",
                                  "/data-source-instance?udm=contacts&integrationKey=crm",
                                  NULL));
    doc = expect_as(w, &w->customer, 200, "GET",
                    "/field-mapping-instance?flowKey=f&nodeKey=n&connectionId=conn1"
                    "&autoCreate=1",
                    NULL);
    assert_text(value_get(doc, "fieldMapping"), "key", "m");
    expect_as(w, &w->customer, 404, "GET",
              "/data-source-instance?flowKey=f&nodeKey=x&connectionId=conn1", NULL);
    expect_as(w, &w->customer, 404, "GET",
              "/data-source-instance?udm=none&connectionId=conn1", NULL);
}

static int connect_one(struct model_view *v, void *ctx, struct status *st) {
    return model_connection_changed(v, ctx, st);
}

static void an_archived_element_with_many_copies_is_found_by_its_key(void **state) {
    struct world *w = *state;
    const struct value *doc;

    with_connections(w);
    expect(w, 201, "POST", "/integrations",
           "{'key':'hr','name':'HR','connectorKey':'crm'}");
    doc = expect(w, 201, "POST", "/actions",
                 "{'key':'a','name':'A','type':'http-request'}");
    expect(w, 201, "POST", "/actions/a/apply", "{'integrationKeys':['crm','hr']}");
    expect(w, 200, "DELETE", "/actions/a", NULL);
    assert_same_id(doc, expect(w, 200, "GET", "/actions/a", NULL));
    assert_true(value_get_bool(expect(w, 200, "GET", "/actions/hr.a", NULL),
                               "isDeactivated", false));
    assert_same_id(doc, expect(w, 201, "POST", "/actions/a/restore", NULL));
    assert_false(value_get_bool(expect(w, 200, "GET", "/actions/hr.a", NULL),
                                "isDeactivated", true));
}

static void a_new_connection_gets_the_flows_that_every_one_has(void **state) {
    struct world *w = *state;
    const struct value *page;

    with_connections(w);
    expect(w, 201, "POST", "/flows", "{'key':'f','name':'F','autoCreateInstances':true}");
    expect(w, 201, "POST", "/flows", "{'key':'g','name':'G'}");
    expect(w, 201, "POST", "/flows/f/apply", "{'integrationKeys':['crm']}");
    for (int i = 0; i < 2; i++)
        assert_int_equal(model_transact(&w->deps, w->arena, NULL, WS, connect_one,
                                        (void *)(uintptr_t) "conn1", &w->st),
                         0);
    page = expect_as(w, &w->customer, 200, "GET", "/flow-instances", NULL);
    assert_int_equal(count(page), 1);
    assert_text(value_at(value_get(page, "items"), 0), "connectionId", "conn1");
    assert_true(value_has(value_at(value_get(page, "items"), 0), "flowId"));
}

/* Selectors that mean mischief: an error of the contract, never a crash or a 5xx. */
static void hostile_selectors_are_answered(void **state) {
    static const char *const evil[] = {
        "",
        ".",
        "..",
        "a.",
        ".a",
        "a.b.c.d.e.f.g.h.i.j",
        "%00",
        "%2f",
        "'",
        "\"",
        "$where",
        "%F0%9F%92%A9",
        "%ff%fe",
        "[]",
        "{}",
        "-1",
        "null",
        "undefined",
        "id%20OR%201",
        "*",
        "..%2f..%2f",
        "u:a",
        "c:conn1:x:",
        "key=a",
    };
    static const char *const shapes[] = {
        "/actions/%s",
        "/action?key=%s",
        "/action?id=%s&integrationKey=%s",
        "/action?key[a]=%s",
        "/actions/a?connectionId=%s",
        "/actions/a?connectionKey=%s&instanceKey=%s",
        "/action-instance?parentKey=%s&connectionId=conn1",
        "/flow-instance?flowKey=%s&flowId=%s&integrationId=%s",
        "/integrations/%s/actions/%s",
        "/integrations/%s",
        "/connections/%s/actions/%s",
        "/actions?integrationKey=%s&userId=%s",
        "/actions?search=%s&parentId=%s",
        "/app-event-subscription?appEventTypeKey=%s&userId=%s",
        "/data-links?dataLinkTableInstanceId=%s",
    };
    struct world *w = *state;
    char *big = arena_alloc(w->arena, 5001);

    memset(big, 'a', 5000);
    big[5000] = '\0';
    with_connections(w);
    expect(w, 201, "POST", "/actions", "{'key':'a','name':'A'}");
    for (size_t i = 0; i <= sizeof evil / sizeof *evil; i++) {
        const char *text = i < sizeof evil / sizeof *evil ? evil[i] : big;
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes - 1; k++) {
            char target[16000];
            const struct route *route;
            const char *param[HTTP_MAX_PARAMS], *allow;
            int status;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(target, sizeof target, shapes[k], text, text, text);
#pragma GCC diagnostic pop
            char *path = arena_strdup(w->arena, target);
            path[strcspn(path, "?")] = '\0';
            if (http_router_match(w->router, HTTP_GET, path, w->arena, &route, param,
                                  &allow))
                continue;
            for (int who = 0; who < 2; who++) {
                call_as(w, who ? &w->admin : &w->customer, "GET", target, NULL, &status);
                if (status >= 500)
                    fail_msg("%d for %s", status, target);
            }
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(plural_and_singular_addresses_reach_the_same_element),
        T(workspaces_do_not_see_each_other),
        T(pages_are_stable_and_a_full_page_has_a_cursor),
        T(integration_addresses_use_the_own_element_or_the_universal_one),
        T(instances_are_made_on_request_and_changed_by_their_customer),
        T(customers_reach_neither_shared_elements_nor_other_customers),
        T(customer_level_schemas_and_subscriptions_work),
        T(clones_and_exports_are_independent),
        T(links_lead_both_ways_and_repeat_harmlessly),
        T(integrations_show_the_callers_connection_and_hide_parameters),
        T(cached_answers_change_with_what_they_were_made_of),
        T(a_flows_node_or_a_model_names_a_data_source),
        T(an_archived_element_with_many_copies_is_found_by_its_key),
        T(a_new_connection_gets_the_flows_that_every_one_has),
        T(hostile_selectors_are_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
