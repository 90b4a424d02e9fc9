#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "collection/collection.h"
#include "connection/connection.h"
#include "deps/deps.h"
#include "value/value.h"

/* Functions of type mapping need no application: they answer from their arguments. */
static struct arena *arena;
static struct status st;
static struct deps deps;
static struct connection_session session;

static int setup(void **state) {
    (void)state;
    arena = arena_new(0);
    st_init(&st, arena);
    deps = (struct deps){.clock = clock_system(), .rand = rand_system()};
    session = (struct connection_session){.external = {.deps = &deps, .arena = arena}};
    external_session_init(&session.external);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static const struct value *json(const char *text) {
    const struct value *v;

    if (value_parse(arena, text, strlen(text), NULL, &v, &st) < 0)
        fail_msg("%s: %s", text, st.message);
    return v;
}

static const char *text_of(const struct value *v) {
    return value_encode_arena(arena, v, 0).data;
}

/* The connector {data: {things: definition}, udm}. */
static struct data_collection open_with(const char *definition, const char *udm,
                                        const char *parameters, const char *model) {
    struct data_collection c;

    session.contents =
        value_obj(arena, "data", value_obj(arena, "things", json(definition), NULL),
                  "udm", json(udm), NULL);
    if (collection_open(&session, "things", json(parameters), model, &c, &st) < 0)
        fail_msg("%s", st.message);
    return c;
}

static const char *ran(struct data_collection *c, enum collection_method method,
                       const char *request) {
    const struct value *answer;

    st_clear(&st);
    if (collection_run(c, method, json(request), &answer, &st) < 0)
        return NULL;
    return text_of(answer);
}

/* A collection whose list gives these records (JSON) and cursor. */
static struct data_collection listing(const char *records, const char *cursor) {
    return open_with(arena_printf(arena,
                                  "{\"name\":\"Things\",\"methods\":{\"list\":{\"type\":"
                                  "\"mapping\",\"mapping\":{\"records\":%s,\"cursor\":%s}"
                                  "}}}",
                                  records, cursor),
                     "{}", "{}", NULL);
}

static void
a_record_gets_an_id_of_text_and_fields_whatever_the_method_gave(void **state) {
    static const char *const rows[][2] = {
        {"{\"id\":7,\"a\":1}", "{\"id\":\"7\",\"fields\":{\"id\":7,\"a\":1}}"},
        {"{\"id\":\"x\",\"fields\":{\"a\":1},\"name\":5,\"url\":\"u\"}",
         "{\"id\":\"x\",\"uri\":\"u\",\"name\":\"5\",\"fields\":{\"a\":1}}"},
        {"{\"id\":1.5,\"fields\":null,\"createdTime\":null}",
         "{\"id\":\"1.5\",\"fields\":{\"id\":1.5,\"fields\":null,\"createdTime\":null}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct data_collection c =
            listing(arena_printf(arena, "[%s]", rows[i][0]), "null");

        assert_string_equal(ran(&c, COLLECTION_LIST, "{}"),
                            arena_printf(arena, "{\"records\":[%s]}", rows[i][1]));
    }
}

static void a_record_without_an_id_is_a_configuration_error(void **state) {
    static const char *const rows[] = {"[{\"a\":1}]", "[{\"id\":\"\"}]", "[{\"id\":{}}]",
                                       "[1]",         "[null]",          "\"text\"",
                                       "[[]]",        "[{\"id\":true}]"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct data_collection c = listing(rows[i], "null");

        assert_null(ran(&c, COLLECTION_LIST, "{}"));
        assert_int_equal(st.type, ST_CONFIGURATION);
    }
}

static void the_cursor_is_text_and_absent_on_the_last_page(void **state) {
    static const char *const rows[][2] = {{"null", "{\"records\":[]}"},
                                          {"\"\"", "{\"records\":[]}"},
                                          {"{}", "{\"records\":[]}"},
                                          {"2", "{\"records\":[],\"cursor\":\"2\"}"},
                                          {"\"p\"", "{\"records\":[],\"cursor\":\"p\"}"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct data_collection c = listing("[]", rows[i][0]);

        assert_string_equal(ran(&c, COLLECTION_LIST, "{}"), rows[i][1]);
    }
}

static void an_endless_list_is_not_searched_for_ever(void **state) {
    struct data_collection c = listing("[{\"id\":\"a\"}]", "\"again\"");

    (void)state;
    assert_non_null(ran(&c, COLLECTION_FIND_BY_ID, "{\"id\":\"a\"}"));
    assert_null(ran(&c, COLLECTION_FIND_BY_ID, "{\"id\":\"b\"}"));
    assert_int_equal(st.type, ST_BAD_REQUEST);
    assert_null(st.key);
    assert_null(ran(&c, COLLECTION_MATCH, "{\"query\":{\"x\":1}}"));
    c = listing("[]", "\"again\"");
    assert_null(ran(&c, COLLECTION_MATCH, "{\"query\":{\"x\":1}}"));
}

static void the_app_gets_only_filters_that_it_declares(void **state) {
    struct data_collection c =
        open_with("{\"name\":\"T\",\"list\":{\"filterFields\":[\"a\",\"$.b\"]},"
                  "\"methods\":{\"list\":"
                  "{\"type\":\"mapping\",\"mapping\":{\"records\":[{\"id\":\"1\","
                  "\"fields\":{\"got\":"
                  "{\"$var\":\"$.filter\"},\"c\":3}},{\"id\":\"2\",\"c\":4}]}}}}",
                  "{}", "{}", NULL);

    (void)state;
    assert_string_equal(
        ran(&c, COLLECTION_LIST, "{\"filter\":{\"a\":1,\"b\":2,\"c\":3}}"),
        "{\"records\":[{\"id\":\"1\",\"fields\":{\"got\":{\"a\":1,\"b\":2},\"c\":3}}]}");
    assert_string_equal(
        ran(&c, COLLECTION_LIST,
            "{\"filter\":[{\"field\":\"c\",\"operator\":\"more_than\","
            "\"value\":3}]}"),
        "{\"records\":[{\"id\":\"2\",\"fields\":{\"id\":\"2\",\"c\":4}}]}");
    assert_null(ran(&c, COLLECTION_LIST, "{\"filter\":1}"));
    assert_null(ran(&c, COLLECTION_LIST, "{\"unifiedFilter\":{\"name\":1}}"));
}

static void records_of_the_app_are_never_taken_for_formulas(void **state) {
    struct data_collection c = open_with(
        "{\"name\":\"T\",\"methods\":{\"find-by-id\":{},\"findById\":{\"type\":"
        "\"mapping\","
        "\"mapping\":{\"record\":{\"id\":\"1\",\"first\":{\"$var\":\"$.parameters.f\"},"
        "\"last\":\"L\"}}}}}",
        "{\"contacts\":{\"collectionMappings\":[{\"key\":\"things\","
        "\"fieldsFromCollection\":{\"firstName\":{\"$var\":\"$.first\"},\"lastName\":"
        "{\"$var\":\"$.last\"}}}]}}",
        "{\"f\":{\"$concat\":{\"values\":[\"x\",\"y\"]}}}", NULL);
    const struct value *answer;

    (void)state;
    assert_int_equal(
        collection_run(&c, COLLECTION_FIND_BY_ID, json("{\"id\":\"1\"}"), &answer, &st),
        0);
    assert_string_equal(
        text_of(value_path(answer, "record", "unifiedFields", "firstName", NULL)),
        "{\"$concat\":{\"values\":[\"x\",\"y\"]}}");
}

static void a_model_that_is_not_mapped_is_read_through_one_that_stands_in(void **state) {
    struct data_collection c = open_with(
        "{\"name\":\"T\",\"methods\":{\"list\":{\"type\":\"mapping\",\"mapping\":"
        "{\"records\":[{\"id\":\"1\",\"mail\":\"m\"}]}}}}",
        "{\"contacts\":{\"collectionMappings\":[{\"key\":\"things\",\"parameters\":"
        "{\"kind\":\"p\"},\"fieldsFromCollection\":{\"primaryEmail\":{\"$var\":"
        "\"$.mail\"}}}]}}",
        "{\"kind\":\"p\",\"more\":1}", "leads");
    const struct value *answer;

    (void)state;
    assert_int_equal(collection_run(&c, COLLECTION_LIST, json("{}"), &answer, &st), 0);
    answer = value_at(value_get(answer, "records"), 0);
    assert_string_equal(value_get_string(answer, "udm", ""), "leads");
    assert_string_equal(
        value_get_string(value_get(answer, "unifiedFields"), "primaryEmail", ""), "m");
}

static void a_mapping_for_other_parameters_does_not_apply(void **state) {
    struct data_collection c = open_with(
        "{\"name\":\"T\",\"methods\":{}}",
        "{\"contacts\":{\"collectionMappings\":[{\"key\":\"things\",\"parameters\":"
        "{\"kind\":\"p\"},\"fieldsFromCollection\":{}}]}}",
        "{\"kind\":\"q\"}", NULL);

    (void)state;
    assert_null(c.udm);
}

static void the_specification_is_static_then_made_then_extended(void **state) {
    struct data_collection c = open_with(
        "{\"name\":\"T\",\"create\":{\"fields\":[\"a\"]},\"fieldsSchema\":{\"type\":"
        "\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}},\"methods\":{"
        "\"create\":"
        "{\"type\":\"mapping\",\"mapping\":{\"id\":{\"$var\":\"$.fields.c\"}}},\"spec\":"
        "{\"type\":\"mapping\",\"mapping\":{\"name\":{\"$var\":\"$.parameters.n\"}}},"
        "\"customFieldsSchema\":{\"type\":\"mapping\",\"mapping\":{\"type\":\"object\","
        "\"properties\":{\"c\":{\"type\":\"string\"}}}}}}",
        "{}", "{\"n\":\"Named\"}", NULL);

    (void)state;
    assert_string_equal(value_get_string(c.spec, "name", ""), "Named");
    assert_string_equal(text_of(value_path(c.spec, "fieldsSchema", "properties", NULL)),
                        "{\"a\":{\"type\":\"string\"},\"c\":{\"type\":\"string\"}}");
    assert_string_equal(
        ran(&c, COLLECTION_CREATE, "{\"fields\":{\"c\":\"new\",\"d\":\"dropped\"}}"),
        "{\"id\":\"new\"}");
}

static void wrong_requests_are_refused(void **state) {
    static const struct {
        enum collection_method method;
        const char *request;
    } rows[] = {
        {COLLECTION_FIND_BY_ID, "{}"},
        {COLLECTION_FIND_BY_ID, "{\"id\":\"\"}"},
        {COLLECTION_FIND_BY_ID, "{\"id\":[]}"},
        {COLLECTION_MATCH, "{}"},
        {COLLECTION_MATCH, "{\"query\":\"x\"}"},
        {COLLECTION_SEARCH, "{\"query\":{}}"},
        {COLLECTION_SEARCH, "{\"query\":\"not supported\"}"},
        {COLLECTION_CREATE, "{\"fields\":[]}"},
        {COLLECTION_UPDATE, "{\"id\":\"1\"}"},
        {COLLECTION_DELETE, "{\"id\":\"1\"}"},
        {COLLECTION_FIND, "{\"query\":\"x\"}"},
    };
    struct data_collection c = listing("[]", "null");

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_null(ran(&c, rows[i].method, rows[i].request));
        assert_int_equal(st.type, ST_BAD_REQUEST);
    }
}

static void a_data_source_leads_to_its_collection(void **state) {
    static const char *const rows[][2] = {
        {"{\"collectionKey\":\"a\",\"collectionParameters\":{\"b\":1},\"udm\":"
         "\"contacts\"}",
         "{\"key\":\"a\",\"parameters\":{\"b\":1}}"},
        {"{\"udm\":\"contacts\"}", "{\"key\":\"people\",\"parameters\":{\"x\":1}}"},
        {"{\"udm\":\"contacts\",\"collectionParameters\":{\"x\":2}}",
         "{\"key\":\"people\",\"parameters\":{\"x\":2}}"},
        {"{\"udm\":\"leads\"}", "{\"key\":\"people\",\"parameters\":{\"x\":1}}"},
        {"{\"path\":\"/data/old?k=v\"}",
         "{\"key\":\"old\",\"parameters\":{\"k\":\"v\"}}"},
    };
    const struct value *contents =
        json("{\"udm\":{\"contacts\":{\"defaultCollection\":{\"key\":\"people\","
             "\"parameters\":{\"x\":1}}}}}");
    const struct value *pointer;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(
            collection_locate(arena, contents, json(rows[i][0]), &pointer, &st), 0);
        assert_string_equal(text_of(pointer), rows[i][1]);
    }
    assert_int_equal(
        collection_locate(arena, contents, json("{\"udm\":\"deals\"}"), &pointer, &st),
        -1);
    assert_int_equal(st.type, ST_CONFIGURATION);
    assert_int_equal(
        collection_locate(arena, contents, json("{\"udm\":\"dragons\"}"), &pointer, &st),
        -1);
    assert_int_equal(st.type, ST_BAD_REQUEST);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(a_record_gets_an_id_of_text_and_fields_whatever_the_method_gave),
        TEST(a_record_without_an_id_is_a_configuration_error),
        TEST(the_cursor_is_text_and_absent_on_the_last_page),
        TEST(an_endless_list_is_not_searched_for_ever),
        TEST(the_app_gets_only_filters_that_it_declares),
        TEST(records_of_the_app_are_never_taken_for_formulas),
        TEST(a_model_that_is_not_mapped_is_read_through_one_that_stands_in),
        TEST(a_mapping_for_other_parameters_does_not_apply),
        TEST(the_specification_is_static_then_made_then_extended),
        TEST(wrong_requests_are_refused),
        TEST(a_data_source_leads_to_its_collection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
