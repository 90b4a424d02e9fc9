/*
 * A real workspace of 494 elements goes in, does not change when it goes in again, and
 * comes out as it was.
 */
#include <time.h>

#include "../model/api_world.h"
#include "model/model_import.h"
#include "workspace/workspace_files.h"
#include "workspace/workspace_transfer.h"
#include "zip/zip.h"

static int open_world(void **state) {
    int rc = world_open(state);
    struct world *w = *state;

    workspace_routes(w->router);
    return rc;
}

static const struct value *read_fixture(struct world *w) {
    const struct value *object;
    struct zip_tree tree;

    if (zip_read_directory(w->arena, FIXTURES "/workspace-bidirectional-sync", NULL,
                           &tree, &w->st) < 0 ||
        workspace_files_read(w->arena, &tree, &object, &w->st) < 0)
        fail_msg("%s", w->st.message);
    return object;
}

static const struct value *import(struct world *w, const struct value *object,
                                  bool dry_run, bool partial) {
    const struct model_import_options o = {dry_run, partial};
    const struct value *result;

    if (model_import(&w->deps, w->arena, &w->admin, WS, object, &o, &result, &w->st) < 0)
        fail_msg("%s", w->st.message);
    return result;
}

static void assert_counts(const struct value *result, int created, int updated,
                          int archived, int unchanged) {
    assert_int_equal((int)value_get_number(result, "created", -1), created);
    assert_int_equal((int)value_get_number(result, "updated", -1), updated);
    assert_int_equal((int)value_get_number(result, "archived", -1), archived);
    assert_int_equal((int)value_get_number(result, "unchanged", -1), unchanged);
}

static const struct value *all_of(struct world *w, const char *plural) {
    return value_get(expect(w, 200, "GET",
                            path_to(w, "/%s?limit=1000&includeArchived=true", plural),
                            NULL),
                     "items");
}

static void a_real_workspace_is_imported_once(void **state) {
    static const char *const plurals[] = {"app-data-schemas", "app-event-types",
                                          "data-sources",     "field-mappings",
                                          "actions",          "flows"};
    struct world *w = *state;
    const struct value *object = read_fixture(w);
    struct timespec from, to;
    size_t total = 0;

    assert_counts(import(w, object, true, false), 494, 0, 0, 0);
    assert_int_equal(all_of(w, "actions")->len, 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_counts(import(w, object, false, false), 494, 0, 0, 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("first import: %.0f ms\n",
                  (double)(to.tv_sec - from.tv_sec) * 1e3 +
                      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    assert_counts(import(w, object, false, false), 0, 0, 0, 494);

    for (VALUE_EACH_ITEM(doc, all_of(w, "integrations"))) {
        const struct value *error = value_at(value_get(doc, "errors"), 0);
        total++;
        assert_text(doc, "state", "CONFIGURATION_ERROR");
        assert_text(error, "type", "configuration");
        assert_non_null(strstr(value_get_string(error, "message", ""),
                               value_get_string(doc, "connectorId", "?")));
    }
    for (size_t i = 0; i < sizeof plurals / sizeof *plurals; i++)
        for (VALUE_EACH_ITEM(doc, all_of(w, plurals[i]))) {
            bool universal = !value_has(doc, "integrationId");
            total++;
            if (strcmp(value_get_string(doc, "state", ""),
                       universal ? "READY" : "CONFIGURATION_ERROR"))
                fail_msg("%s %s: %s", plurals[i], value_get_string(doc, "key", ""),
                         value_encode_arena(w->arena, doc, 0).data);
        }
    assert_int_equal(total, 494);
    const struct value *action =
        expect(w, 200, "GET", "/actions/microsoft-teams.get-users", NULL);
    assert_int_equal(value_get(action, "errors")->len, 3);
    assert_text(value_at(value_get(action, "errors"), 1), "message",
                "Data Source Dependency has error(s)");
    assert_text(action, "parentId",
                id_of(expect(w, 200, "GET", "/actions/get-users", NULL)));
    assert_int_equal(value_items_count(value_get(
                         expect(w, 200, "GET", "/flows/receive-user-events", NULL),
                         "appliedToIntegrations")) > 0,
                     1);
}

static void what_comes_out_goes_in_again_without_a_change(void **state) {
    struct world *w = *state;
    const struct value *out, *again, *copy;
    struct zip_tree tree;

    import(w, read_fixture(w), false, false);
    if (model_export(model_view_new(&w->deps, w->arena, &w->admin, WS), &out, &w->st) <
            0 ||
        workspace_files_write(w->arena, out, &tree, &w->st) < 0 ||
        workspace_files_read(w->arena, &tree, &again, &w->st) < 0)
        fail_msg("%s", w->st.message);
    assert_int_equal(tree.len, 494);
    assert_counts(import(w, again, false, false), 0, 0, 0, 494);
    assert_counts(import(w, out, false, false), 0, 0, 0, 494);

    /* into an empty workspace: references by uuid */
    const struct model_import_options o = {0};
    if (model_import(&w->deps, w->arena, &w->other, "ws2", out, &o, &copy, &w->st) < 0)
        fail_msg("%s", w->st.message);
    assert_counts(copy, 494, 0, 0, 0);
    const struct value *second;
    if (model_export(model_view_new(&w->deps, w->arena, &w->other, "ws2"), &second,
                     &w->st) < 0)
        fail_msg("%s", w->st.message);
    assert_true(value_equal(out, second));
}

static void a_change_updates_one_and_a_lack_archives_one(void **state) {
    struct world *w = *state;
    const struct value *object = json(
        w,
        "{'integration':[{'key':'crm','name':'CRM'}],"
        "'data-source':[{'key':'c','name':'C','udm':'contacts'},"
        "{'key':'c','name':'C','integrationKey':'crm','parentKey':'c','udm':'contacts'}],"
        "'action':[{'key':'a','name':'A','type':'http-request','config':{'b':1,'a':2}}]"
        "}");
    const struct value *result;

    assert_counts(import(w, object, false, false), 4, 0, 0, 0);
    object = json(
        w,
        "{'integration':[{'key':'crm','name':'CRM'}],"
        "'data-source':[{'key':'c','name':'C','udm':'people'},"
        "{'key':'c','name':'C','integrationKey':'crm','parentKey':'c','udm':'people'}],"
        "'action':[{'key':'a','name':'A','type':'http-request','config':{'a':2,'b':1}}]"
        "}");
    result = import(w, object, true, false);
    assert_counts(result, 0, 3, 0, 1);
    result = import(w, object, false, false);
    assert_counts(result, 0, 3, 0, 1);
    const struct value *u = expect(w, 200, "GET", "/data-sources/c", NULL);
    const struct value *i = expect(w, 200, "GET", "/data-sources/crm.c", NULL);
    assert_text(i, "universalDataSourceRevision", value_get_string(u, "revision", ""));
    assert_counts(import(w, object, false, false), 0, 0, 0, 4);
    object = json(w, "{'integration':[{'key':'crm','name':'CRM'}]}");
    assert_counts(import(w, object, false, true), 0, 0, 0, 1);
    assert_counts(import(w, object, false, false), 0, 0, 3, 1);
    assert_counts(import(w, object, false, false), 0, 0, 0, 1);
}

static void one_bad_element_stops_all(void **state) {
    struct world *w = *state;
    const struct value *error = expect(
        w, 400, "POST", "/import",
        "{'action':[{'key':'good','name':'G'},{'key':'bad','name':'B','type':'nope'},"
        "{'key':'x','name':'X','integrationKey':'none'}],'flow':[{'key':'f','nodes':{'a':"
        "1}},7]}");
    const struct value *list = value_path(error, "data", "errors", NULL);

    assert_int_equal(list->len, 4);
    assert_text(value_at(list, 0), "element", "actions/x");
    assert_text(value_at(list, 1), "path", "flow.1");
    assert_text(value_at(list, 2), "element", "actions/bad");
    assert_text(value_at(list, 2), "path", "type");
    assert_int_equal(all_of(w, "actions")->len, 0);
    expect(w, 400, "POST", "/import", "{'customer':[]}");
    expect(w, 400, "POST", "/import", "{'action':{}}");
    expect(w, 400, "POST", "/import",
           "{'action':[{'key':'a','name':'A'},{'key':'a','name':'A'}]}");
}

static void an_export_is_a_finished_job_with_a_zip(void **state) {
    struct world *w = *state;
    const struct value *job;

    expect(w, 200, "POST", "/import", "{'action':[{'key':'a','name':'A'}]}");
    job = expect(w, 200, "GET", "/export", NULL);
    const char *path =
        path_to(w, "/background-jobs/%s:%s", value_get_string(job, "jobId", ""),
                value_get_string(job, "accessKey", ""));
    job = expect(w, 200, "GET", path, NULL);
    assert_text(job, "status", "completed");
    assert_true(value_has(value_get(job, "result"), "downloadUrl"));
    expect(w, 404, "GET", path_to(w, "%sx", path), NULL);
    expect(w, 404, "GET", "/background-jobs/a:b", NULL);
}

static void children_on_connections_follow_an_import(void **state) {
    struct world *w = *state;
    const struct value *one;

    with_connections(w);
    expect(w, 200, "POST", "/import?partial=1",
           "{'data-source':[{'key':'c','name':'C','udm':'contacts'}]}");
    one = expect(w, 200, "PUT", "/connections/conn1/data-sources/c", NULL);
    assert_text(one, "udm", "contacts");
    expect(w, 200, "POST", "/import?partial=1",
           "{'data-source':[{'key':'c','name':'C','udm':'people'}]}");
    assert_text(expect(w, 200, "GET", "/connections/conn1/data-sources/c", NULL), "udm",
                "people");
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_world, world_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(a_real_workspace_is_imported_once),
        T(what_comes_out_goes_in_again_without_a_change),
        T(a_change_updates_one_and_a_lack_archives_one),
        T(one_bad_element_stops_all),
        T(an_export_is_a_finished_job_with_a_zip),
        T(children_on_connections_follow_an_import),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
