#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "http/http.h"
#include "http/http_priv.h"
#include "value/value.h"

struct fixture {
    struct http_connection connection;
    const char *content_type;
    struct arena *arena;
    struct request rq;
    struct reply rp;
    struct status st;
};

static const char *header(struct http_connection *c, const char *name) {
    struct fixture *f = (struct fixture *)c;

    return strcasecmp(name, "content-type") == 0 ? f->content_type : NULL;
}

static int setup(void **state) {
    static struct fixture f;

    f = (struct fixture){.connection.header = header, .arena = arena_new(0)};
    f.rq = (struct request){
        .arena = f.arena, .query = &value_empty_object, .connection = &f.connection};
    f.rp = (struct reply){.arena = f.arena};
    st_init(&f.st, f.arena);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    arena_free(&f->arena);
    return 0;
}

static const char *json(struct fixture *f, const struct value *v) {
    return value_encode_arena(f->arena, v, 0).data;
}

static void query(struct fixture *f, const char *text) {
    assert_int_equal(http_query_parse(f->arena, text, strlen(text), &f->rq.query, &f->st),
                     0);
}

static void expect_query(void **state, const char *text, const char *as_json) {
    query(*state, text);
    assert_string_equal(json(*state, ((struct fixture *)*state)->rq.query), as_json);
}

static void body(struct fixture *f, const char *type, const char *text) {
    f->content_type = type;
    f->rq.body = (struct bytes){text, strlen(text)};
    f->rq.json = NULL;
}

static void flat_fields_are_texts(void **state) {
    expect_query(state, "", "{}");
    expect_query(state, "&&=&", "{}");
    expect_query(state, "a=1&b=two+words&c=%2B%20x",
                 "{\"a\":\"1\",\"b\":\"two words\",\"c\":\"+ x\"}");
    expect_query(state, "a&b=&c==", "{\"a\":\"\",\"b\":\"\",\"c\":\"=\"}");
    expect_query(state, "a=1&a=2", "{\"a\":\"2\"}");
    expect_query(state, "a=100%&b=%zz&c=%ff",
                 "{\"a\":\"100%\",\"b\":\"%zz\",\"c\":\"\xef\xbf\xbd\"}");
    expect_query(state, "a=%00", "{\"a\":\"\xef\xbf\xbd\"}");
}

static void brackets_nest(void **state) {
    expect_query(state, "a[b]=1&x=y&a[c]=2",
                 "{\"a\":{\"b\":\"1\",\"c\":\"2\"},\"x\":\"y\"}");
    expect_query(state, "a%5Bb%5D%5Bc%5D=1", "{\"a\":{\"b\":{\"c\":\"1\"}}}");
    expect_query(state, "a[0]=x&a[1]=y", "{\"a\":[\"x\",\"y\"]}");
    expect_query(state, "a[1]=y&a[0][k]=x", "{\"a\":[{\"k\":\"x\"},\"y\"]}");
    expect_query(state, "a[]=x&a[]=y", "{\"a\":[\"x\",\"y\"]}");
    expect_query(state, "a[7]=x", "{\"a\":{\"7\":\"x\"}}");
    expect_query(state, "a[00]=x", "{\"a\":{\"00\":\"x\"}}");
    expect_query(state, "a=1&a[b]=2", "{\"a\":{\"b\":\"2\"}}");
    expect_query(state, "a[b]=2&a=1", "{\"a\":\"1\"}");
}

static void broken_brackets_are_part_of_the_name(void **state) {
    expect_query(state, "a[b=1", "{\"a[b\":\"1\"}");
    expect_query(state, "[a]=1", "{\"[a]\":\"1\"}");
    expect_query(state, "a]b=1", "{\"a]b\":\"1\"}");
    expect_query(state, "a[b]c=1", "{\"a[b]c\":\"1\"}");
    expect_query(state, "a[b]c[d]=1", "{\"a[b]c[d]\":\"1\"}");
}

static void bounds_of_the_query_are_errors(void **state) {
    struct fixture *f = *state;
    const struct value *v;
    char *many = arena_alloc(f->arena, 3 * 1001 + 1);

    for (int i = 0; i < 1001; i++)
        memcpy(many + i * 3, "a=&", 3);
    assert_int_equal(http_query_parse(f->arena, many, 3 * 1001, &v, &f->st), -1);
    assert_int_equal(http_query_parse(f->arena, many, 3 * 1000, &v, &f->st), 0);
    query(f, "a[1][2][3][4][5][6][7][8]=x");
    assert_int_equal(
        http_query_parse(f->arena, "a[1][2][3][4][5][6][7][8][9]=x", 30, &v, &f->st), -1);
}

static void typed_fields_follow_the_contract(void **state) {
    struct fixture *f = *state;
    int64_t n;

    query(f, "t=TRUE&one=1&no=no&f=False&z=0&e=&blank=+&n=25&neg=-3&bad=2x&o[a]=1");
    assert_true(request_query_bool(f->rq.query ? &f->rq : NULL, "t", false));
    assert_true(request_query_bool(&f->rq, "one", false));
    assert_true(request_query_bool(&f->rq, "no", false));
    assert_false(request_query_bool(&f->rq, "f", true));
    assert_false(request_query_bool(&f->rq, "z", true));
    assert_false(request_query_bool(&f->rq, "e", true));
    assert_true(request_query_bool(&f->rq, "absent", true));
    assert_null(request_query(&f->rq, "blank"));
    assert_null(request_query(&f->rq, "o"));
    assert_int_equal(request_query_int(&f->rq, "n", 1, 100, 5, &n, &f->st), 0);
    assert_int_equal(n, 25);
    assert_int_equal(request_query_int(&f->rq, "blank", 1, 100, 5, &n, &f->st), 0);
    assert_int_equal(n, 5);
    assert_int_equal(request_query_int(&f->rq, "neg", 1, 100, 5, &n, &f->st), -1);
    assert_int_equal(request_query_int(&f->rq, "bad", 1, 100, 5, &n, &f->st), -1);
    assert_non_null(strstr(f->st.message, "\"bad\""));
}

static void an_empty_body_means_no_arguments_whatever_its_type(void **state) {
    struct fixture *f = *state;
    const struct value *v;

    body(f, "application/x-www-form-urlencoded", "");
    assert_int_equal(request_json(&f->rq, &v, &f->st), 0);
    assert_int_equal(v->type, VALUE_UNDEFINED);
    assert_int_equal(request_object(&f->rq, &v, &f->st), 0);
    assert_int_equal(v->len, 0);
    assert_int_equal(v->type, VALUE_OBJECT);
}

static void bodies_are_json_or_forms(void **state) {
    struct fixture *f = *state;
    const struct value *v;

    body(f, "application/json", "{\"b\":1,\"a\":[true]}");
    assert_int_equal(request_object(&f->rq, &v, &f->st), 0);
    assert_string_equal(json(f, v), "{\"b\":1,\"a\":[true]}");
    body(f, NULL, "[1]");
    assert_int_equal(request_json(&f->rq, &v, &f->st), 0);
    assert_int_equal(request_object(&f->rq, &v, &f->st), -1);
    body(f, "application/x-www-form-urlencoded; charset=utf-8", "a=1&b=x+y");
    assert_int_equal(request_json(&f->rq, &v, &f->st), 0);
    assert_string_equal(json(f, v), "{\"a\":\"1\",\"b\":\"x y\"}");
    body(f, "application/x-www-form-urlencoded", " {\"a\":1}");
    assert_int_equal(request_json(&f->rq, &v, &f->st), 0);
    assert_string_equal(json(f, v), "{\"a\":1}");
    body(f, "application/x-www-form-urlencoded", "{x=1");
    assert_int_equal(request_json(&f->rq, &v, &f->st), 0);
    assert_string_equal(json(f, v), "{\"{x\":\"1\"}");
}

static void a_broken_body_is_a_bad_request_with_its_place(void **state) {
    struct fixture *f = *state;
    const struct value *v;

    body(f, "application/json", "{\n\"a\":}");
    assert_int_equal(request_json(&f->rq, &v, &f->st), -1);
    assert_int_equal(f->st.type, ST_BAD_REQUEST);
    assert_int_equal(st_http_code(&f->st), 400);
    assert_non_null(strstr(f->st.message, "line 2"));
}

#define FORM "multipart/form-data; boundary=\"x y\""

static int part(struct fixture *f, const char *name, struct request_part *p) {
    return request_part(&f->rq, name, p, &f->st);
}

static void parts_are_found_by_name_and_the_first_file_without(void **state) {
    struct fixture *f = *state;
    struct request_part p;

    body(f, FORM,
         "--x y\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
         "--x y\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a "
         "\\\"b;.txt\"\r\n"
         "Content-Type: text/plain\r\n\r\nline\r\n\r\n--x\r\n"
         "\r\n--x y\r\nContent-Disposition: form-data; name=empty; "
         "filename*=utf-8''%C3%A9.bin\r\n\r\n\r\n"
         "--x y--\r\nepilogue");
    assert_int_equal(part(f, "note", &p), 0);
    assert_int_equal(p.body.len, 5);
    assert_memory_equal(p.body.data, "hello", 5);
    assert_null(p.filename);
    assert_int_equal(part(f, NULL, &p), 0);
    assert_string_equal(p.name, "file");
    assert_string_equal(p.filename, "a \"b;.txt");
    assert_string_equal(p.content_type, "text/plain");
    assert_int_equal(p.body.len, strlen("line\r\n\r\n--x\r\n"));
    assert_int_equal(part(f, "empty", &p), 0);
    assert_string_equal(p.filename, "\xc3\xa9.bin");
    assert_int_equal(p.body.len, 0);
    assert_int_equal(part(f, "absent", &p), 1);
}

static void broken_multipart_is_a_bad_request(void **state) {
    static const char *const broken[] = {
        "x",
        "--x y",
        "--x y\r\n",
        "--x yz\r\n\r\n\r\n--x y--",
        "--x y\r\nContent-Disposition: form-data; name=a\r\n",
        "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\nbody without end",
        "--x y\r\n\r\nbody\r\n--x y",
    };
    struct fixture *f = *state;
    struct request_part p;

    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        body(f, FORM, broken[i]);
        assert_int_equal(part(f, "zzz", &p), -1);
    }
    body(f, FORM, "--x y--");
    assert_int_equal(part(f, "a", &p), 1);
    body(f, FORM, "preamble\r\n--x y\r\n\r\nno headers\r\n--x y--");
    assert_int_equal(part(f, "a", &p), 1);
    body(f, "multipart/form-data", "--x--");
    assert_int_equal(part(f, "a", &p), -1);
    body(f, "application/json", "{}");
    assert_int_equal(part(f, "a", &p), -1);
}

static void replies_carry_json_errors_and_safe_headers(void **state) {
    struct fixture *f = *state;

    st_fail(&f->st, ST_BAD_REQUEST, "not_found", "No flow \"%s\"", "x");
    reply_error(&f->rp, &f->st);
    assert_int_equal(f->rp.status, 404);
    assert_string_equal(f->rp.body.data, "{\"type\":\"bad_request\",\"key\":\"not_"
                                         "found\",\"message\":\"No flow \\\"x\\\"\"}");
    reply_header(&f->rp, "X-A", "1");
    reply_header(&f->rp, "X-B", "1\r\nSet-Cookie: a=b");
    reply_header(&f->rp, "X-C", "2");
    assert_string_equal(f->rp.headers->name, "X-A");
    assert_string_equal(f->rp.headers->next->name, "X-C");
    assert_null(f->rp.headers->next->next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flat_fields_are_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(brackets_nest, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_brackets_are_part_of_the_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bounds_of_the_query_are_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(typed_fields_follow_the_contract, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            an_empty_body_means_no_arguments_whatever_its_type, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_are_json_or_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_body_is_a_bad_request_with_its_place,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            parts_are_found_by_name_and_the_first_file_without, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_multipart_is_a_bad_request, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(replies_carry_json_errors_and_safe_headers, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
