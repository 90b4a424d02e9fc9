#include "base/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/buf.h"

static const char *const labels[] = {"method", "code", NULL};

static void expect_line(const char *text, const char *line) {
    const char *at = strstr(text, line);

    if (!at || (at != text && at[-1] != '\n'))
        fail_msg("no line %s in\n%s", line, text);
}

static void counters_gauges_and_readers_print_in_the_text_format(void **state) {
    struct metrics *m = metrics_new();
    struct metric *requests =
        metrics_register(m, METRIC_COUNTER, "http_requests_total", "Requests.", labels);
    struct metric *busy =
        metrics_register(m, METRIC_GAUGE, "queued_tasks_worker_busy", "Busy.", NULL);
    struct buf b = BUF_INIT;

    (void)state;
    metric_add(requests, (const char *[]){"GET", "200"}, 1);
    metric_add(requests, (const char *[]){"GET", "200"}, 1);
    metric_add(requests, (const char *[]){"P\"\\\n", "404"}, 1);
    metrics_format(m, &b);
    expect_line(b.data, "# TYPE http_requests_total counter\n");
    expect_line(b.data, "http_requests_total{method=\"GET\",code=\"200\"} 2\n");
    expect_line(b.data, "http_requests_total{method=\"P\\\"\\\\ \",code=\"404\"} 1\n");
    expect_line(b.data, "queued_tasks_worker_busy 0\n"); /* S167: 0 while idle */
    expect_line(b.data, "# TYPE process_resident_memory_bytes gauge\n");
    expect_line(b.data, "# TYPE process_cpu_seconds_total counter\n");
    buf_clear(&b);
    metric_set(busy, NULL, 1);
    metrics_format(m, &b);
    expect_line(b.data, "queued_tasks_worker_busy 1\n");
    buf_fini(&b);
    metrics_free(&m);
    assert_null(m);
}

static void histogram_buckets_are_cumulative(void **state) {
    struct metrics *m = metrics_new();
    struct metric *h =
        metrics_register(m, METRIC_HISTOGRAM, "d_seconds", "Time.", labels + 1);
    struct buf b = BUF_INIT;

    (void)state;
    metric_observe(h, (const char *[]){"200"}, 0.0005);
    metric_observe(h, (const char *[]){"200"}, 0.004);
    metric_observe(h, (const char *[]){"200"}, 100);
    metrics_format(m, &b);
    expect_line(b.data, "d_seconds_bucket{code=\"200\",le=\"0.001\"} 1\n");
    expect_line(b.data, "d_seconds_bucket{code=\"200\",le=\"0.005\"} 2\n");
    expect_line(b.data, "d_seconds_bucket{code=\"200\",le=\"60\"} 2\n");
    expect_line(b.data, "d_seconds_bucket{code=\"200\",le=\"+Inf\"} 3\n");
    expect_line(b.data, "d_seconds_count{code=\"200\"} 3\n");
    buf_fini(&b);
    metrics_free(&m);
}

static bool read_nothing(void *ctx, double *ret_value) {
    (void)ctx;
    (void)ret_value;
    return false;
}

static void reader_without_value_is_left_out(void **state) {
    struct metrics *m = metrics_new();
    struct buf b = BUF_INIT;

    (void)state;
    metrics_register_reader(m, "instant_tasks_jobs_waiting", "Waiting.", read_nothing,
                            NULL);
    metrics_format(m, &b);
    assert_null(strstr(b.data, "instant_tasks_jobs_waiting"));
    buf_fini(&b);
    metrics_free(&m);
}

static void series_are_bounded(void **state) {
    struct metrics *m = metrics_new();
    struct metric *c = metrics_register(m, METRIC_COUNTER, "c_total", "C.", labels);
    struct buf b = BUF_INIT;
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < METRICS_MAX_SERIES + 500; i++) {
        char code[16];

        snprintf(code, sizeof(code), "%d", i);
        metric_add(c, (const char *[]){"GET", code}, 1);
    }
    metrics_format(m, &b);
    for (const char *s = b.data; (s = strstr(s, "\nc_total{")) != NULL; s++)
        lines++;
    assert_int_equal(lines, METRICS_MAX_SERIES + 1);
    expect_line(b.data, "c_total{method=\"other\",code=\"other\"} 500\n");
    buf_fini(&b);
    metrics_free(&m);
}

static void *add_many(void *metric) {
    for (int i = 0; i < 10000; i++)
        metric_add(metric, (const char *[]){"GET", "200"}, 1);
    return NULL;
}

static void threads_lose_no_count(void **state) {
    struct metrics *m = metrics_new();
    struct metric *c = metrics_register(m, METRIC_COUNTER, "c_total", "C.", labels);
    pthread_t threads[4];
    struct buf b = BUF_INIT;

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, add_many, c);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    metrics_format(m, &b);
    expect_line(b.data, "c_total{method=\"GET\",code=\"200\"} 40000\n");
    buf_fini(&b);
    metrics_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_gauges_and_readers_print_in_the_text_format),
        cmocka_unit_test(histogram_buckets_are_cumulative),
        cmocka_unit_test(reader_without_value_is_left_out),
        cmocka_unit_test(series_are_bounded),
        cmocka_unit_test(threads_lose_no_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
