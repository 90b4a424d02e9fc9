#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cmocka_all.h"

/* What one call wrote, read back from a pipe. */
static int pipe_fds[2];
static char line[65536];

static int open_pipe(void **state) {
    (void)state;
    return pipe2(pipe_fds, O_NONBLOCK);
}

static int close_pipe(void **state) {
    (void)state;
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void use(bool json, enum log_level level) {
    log_setup(&(struct log_options){
        .level = level, .json = json, .fd = pipe_fds[1], .service = "api"});
}

static const char *written(void) {
    ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);

    line[n > 0 ? n : 0] = '\0';
    return line;
}

/* The line after its time stamp, which is checked for shape. */
static const char *after_time(const char *s) {
    assert_true(strlen(s) > 25);
    assert_int_equal(s[4], '-');
    assert_int_equal(s[10], 'T');
    assert_int_equal(s[23], 'Z');
    return s + 25;
}

static void text_line_has_time_level_service_sentence_and_fields(void **state) {
    (void)state;
    use(false, LOG_INFO);
    log_info(NULL, "run finished", "durationMs=%lld flow=%s", 12LL, "f1");
    assert_string_equal(after_time(written()),
                        "INFO api run finished durationMs=12 flow=f1\n");
}

static void json_line_escapes_values(void **state) {
    (void)state;
    use(true, LOG_INFO);
    log_warn(NULL, "odd", "text=%s n=%d size=%zu ratio=%.2f", "a\"b\\c\nd\x01", -5,
             (size_t)7, 0.5);
    assert_non_null(strstr(
        written(), "\"level\":\"warn\",\"service\":\"api\",\"msg\":\"odd\",\"text\":"
                   "\"a\\\"b\\\\c\\nd\\u0001\",\"n\":-5,\"size\":7,\"ratio\":0.50}\n"));
}

static void value_cannot_forge_a_field_or_a_line(void **state) {
    const char *s;

    (void)state;
    use(false, LOG_INFO);
    log_info(NULL, "hit", "path=%s", "/x admin=true\n2026 INFO forged");
    s = after_time(written());
    assert_string_equal(s, "INFO api hit path=\"/x admin=true\\n2026 INFO forged\"\n");
}

static void context_is_inherited_from_parents(void **state) {
    struct log_ctx process = {.service = "queued-worker"};
    struct log_ctx request = {
        .parent = &process, .request_id = "r1", .workspace_id = "w1"};
    struct log_ctx job = {.parent = &request, .job_id = "j1"};

    (void)state;
    use(true, LOG_INFO);
    log_info(&job, "step");
    assert_non_null(strstr(written(), "\"service\":\"queued-worker\",\"msg\":\"step\","
                                      "\"requestId\":\"r1\",\"workspaceId\":\"w1\","
                                      "\"jobId\":\"j1\"}\n"));
    use(false, LOG_INFO);
    log_info(&job, "step");
    assert_string_equal(after_time(written()),
                        "INFO queued-worker [req=r1] [workspace=w1] [job=j1] step\n");
}

static void secrets_are_masked_by_name_and_in_addresses(void **state) {
    const char *s;

    (void)state;
    use(false, LOG_INFO);
    log_info(NULL, "opened", "accessToken=%s Authorization=%s uri=%s", "abc",
             "Bearer xyz", "mongodb://user:pw@db:27017/x?y=z@q");
    s = after_time(written());
    assert_string_equal(s, "INFO api opened accessToken=*** Authorization=*** "
                           "uri=\"mongodb://***@db:27017/x?y=z@q\"\n");
}

/* S169: DEBUG_ALL=1 shows more lines. */
static void level_hides_lower_lines(void **state) {
    (void)state;
    use(false, LOG_WARN);
    log_debug(NULL, "no");
    log_info(NULL, "no");
    assert_string_equal(written(), "");
    log_error(NULL, "yes");
    assert_string_equal(after_time(written()), "ERROR api yes\n");
    use(false, LOG_DEBUG);
    log_debug(NULL, "yes");
    assert_string_equal(after_time(written()), "DEBUG api yes\n");
}

static void absent_text_leaves_the_field_out(void **state) {
    const char *volatile absent = NULL; /* volatile: the compiler must not see it */

    (void)state;
    use(false, LOG_INFO);
    log_info(NULL, "x", "a=%s b=%u c=%.*s", absent, 3u, 2, "long");
    assert_string_equal(after_time(written()), "INFO api x b=3 c=lo\n");
}

static void overlong_value_is_cut_and_says_so(void **state) {
    char *big = malloc(10001);
    const char *s;

    (void)state;
    memset(big, 'x', 10000);
    big[10000] = '\0';
    use(true, LOG_INFO);
    log_info(NULL, "big", "v=%s", big);
    s = written();
    assert_true(strlen(s) < 2300);
    assert_non_null(strstr(s, "x...(10000 bytes)\"}\n"));
    free(big);
}

static void non_finite_number_stays_valid_json(void **state) {
    (void)state;
    use(true, LOG_INFO);
    log_info(NULL, "n", "a=%g b=%x c=%c", 1.0 / 0.0, 255u, 'q');
    assert_non_null(strstr(written(), ",\"a\":\"inf\",\"b\":\"ff\",\"c\":\"q\"}\n"));
}

static void level_names_are_known(void **state) {
    (void)state;
    assert_int_equal(log_level_from_name("warn"), LOG_WARN);
    assert_int_equal(log_level_from_name("DEBUG"), LOG_DEBUG);
    assert_int_equal(log_level_from_name("loud"), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(text_line_has_time_level_service_sentence_and_fields),
        CASE(json_line_escapes_values),
        CASE(value_cannot_forge_a_field_or_a_line),
        CASE(context_is_inherited_from_parents),
        CASE(secrets_are_masked_by_name_and_in_addresses),
        CASE(level_hides_lower_lines),
        CASE(absent_text_leaves_the_field_out),
        CASE(overlong_value_is_cut_and_says_so),
        CASE(non_finite_number_stays_valid_json),
        CASE(level_names_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
