#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "mapping/mapping_merge.h"
#include "mapping/udm.h"
#include "schema/schema_check.h"
#include "value/value.h"

static const struct value *json(struct arena *a, const char *text) {
    const struct value *v;
    struct status st;

    st_init(&st, a);
    assert_int_equal(value_parse(a, text, strlen(text), NULL, &v, &st), 0);
    return v;
}

static void every_model_has_a_schema_in_order(void **state) {
    struct arena *a = arena_new(0);
    const struct value *names = udm_names(a);
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(names->len, 43);
    for (VALUE_EACH_ITEM(name, names)) {
        const struct value *schema = udm_fields_schema(a, name);

        assert_int_equal(schema_check(a, schema, &st), 0);
        assert_true(value_has(value_get(schema, "properties"), "id"));
    }
    arena_free(&a);
}

static void the_notation_of_fields_is_read(void **state) {
    struct arena *a = arena_new(0);
    const struct value *tasks =
        value_get(udm_fields_schema(a, json(a, "\"drive-items\"")), "properties");
    const struct value *contacts =
        value_get(udm_fields_schema(a, json(a, "\"contacts\"")), "properties");

    (void)state;
    assert_string_equal(
        value_encode_arena(a, value_get(tasks, "itemType"), 0).data,
        "{\"type\":\"string\",\"enum\":[\"file\",\"folder\"],\"allowCustom\":true}");
    assert_string_equal(value_encode_arena(a, value_get(tasks, "size"), 0).data,
                        "{\"type\":\"integer\",\"readOnly\":true}");
    assert_string_equal(value_encode_arena(a, value_get(contacts, "emails"), 0).data,
                        "{\"type\":\"array\",\"items\":{\"type\":\"object\","
                        "\"properties\":{\"value\":{\"type\":"
                        "\"string\"},\"type\":{\"type\":\"string\"}}}}");
    assert_string_equal(
        value_encode_arena(a, value_get(contacts, "createdBy"), 0).data,
        "{\"type\":\"string\",\"referenceUdm\":\"users\",\"readOnly\":true}");
    assert_string_equal(
        value_encode_arena(a, value_get(contacts, "createdTime"), 0).data,
        "{\"type\":\"string\",\"format\":\"date-time\",\"readOnly\":true}");
    arena_free(&a);
}

static const char *default_collection(struct arena *a, const char *spec,
                                      const char *model) {
    const struct value *pointer, *name = value_string(a, model);
    struct status st;

    st_init(&st, a);
    if (udm_default_collection(a, json(a, spec), name, &pointer, &st) < 0)
        return st.message;
    return value_is(pointer, VALUE_UNDEFINED) ? "none"
                                              : value_encode_arena(a, pointer, 0).data;
}

static void a_model_that_a_connector_lacks_is_stood_in_for(void **state) {
    static const char spec[] =
        "{\"udm\":{\"companies\":{\"defaultCollection\":{\"key\":\"accounts\"}},"
        "\"notes\":{\"collectionMappings\":[{\"key\":\"remarks\"}]}}}";
    struct arena *a = arena_new(0);

    (void)state;
    assert_string_equal(default_collection(a, spec, "companies"),
                        "{\"key\":\"accounts\"}");
    assert_string_equal(default_collection(a, spec, "suppliers"),
                        "{\"key\":\"accounts\"}");
    assert_string_equal(default_collection(a, spec, "activities"),
                        "{\"key\":\"remarks\"}");
    assert_string_equal(default_collection(a, spec, "deals"), "none");
    assert_string_equal(default_collection(a, "null", "nonsense"), "none");
    assert_string_equal(default_collection(a, spec, "nonsense"), "Unknown UDM: nonsense");
    arena_free(&a);
}

static void records_of_a_model_have_unified_fields(void **state) {
    struct arena *a = arena_new(0);
    const struct value *schema =
        udm_record_schema(a, json(a, "{\"udm\":\"deal-stages\",\"fieldsSchema\":{}}"));

    (void)state;
    assert_string_equal(
        value_encode_arena(
            a, value_path(schema, "properties", "unifiedFields", "properties", NULL), 0)
            .data,
        "{\"id\":{\"type\":\"string\",\"readOnly\":true},\"name\":{\"type\":\"string\"},"
        "\"state\":{\"type\":\"string\",\"enum\":[\"open\",\"won\",\"lost\"]}}");
    assert_false(value_has(value_get(schema, "properties"), "rawFields"));
    arena_free(&a);
}

static void merging_leaves_its_arguments_alone_and_shares_them(void **state) {
    struct arena *a = arena_new(0);
    const struct value *under =
        json(a, "{\"a\":{\"b\":1,\"c\":[1,2]},\"f\":{\"$var\":\"x\"}}");
    const struct value *over = json(a, "{\"a\":{\"c\":[9]},\"f\":{\"$var\":\"y\"}}");
    const struct value *merged = mapping_merge(a, under, over);

    (void)state;
    assert_string_equal(value_encode_arena(a, merged, 0).data,
                        "{\"a\":{\"b\":1,\"c\":[9,2]},\"f\":{\"$var\":\"y\"}}");
    assert_string_equal(value_encode_arena(a, under, 0).data,
                        "{\"a\":{\"b\":1,\"c\":[1,2]},\"f\":{\"$var\":\"x\"}}");
    assert_ptr_equal(mapping_merge(a, under, &value_undefined), under);
    assert_int_equal(mapping_direction_from(json(a, "\"both\"")), MAPPING_BOTH);
    assert_int_equal(mapping_direction_from(json(a, "\"Both\"")), MAPPING_NONE);
    assert_true(mapping_is_value_field("frozenExportFields"));
    assert_false(mapping_is_value_field("appSchema"));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_has_a_schema_in_order),
        cmocka_unit_test(the_notation_of_fields_is_read),
        cmocka_unit_test(a_model_that_a_connector_lacks_is_stood_in_for),
        cmocka_unit_test(records_of_a_model_have_unified_fields),
        cmocka_unit_test(merging_leaves_its_arguments_alone_and_shares_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
