/*
 * metrics.h - numbers about this process, in the Prometheus text format 0.0.4.
 *
 * A metric is registered once, at start; its series come to be when they are first used.
 * A metric holds at most METRICS_MAX_SERIES series, so that no outside text can grow it
 * without bound: what comes after that is counted under the label values "other".
 * Threads: all functions but registration may be called from all threads at once.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdbool.h>

struct buf;
struct metric;
struct metrics;

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM, /* of seconds: 1 ms to 60 s */
};

#define METRICS_MAX_LABELS 4
#define METRICS_MAX_SERIES 4000

/* With the process's own metrics (memory, processor time, descriptors, start) in it. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics **m);

/*
 * labels: names, NULL-terminated, at most METRICS_MAX_LABELS; NULL: none, then the only
 * series is there from the start with value 0. Texts must outlive the metrics. The same
 * name twice is a broken promise (assert). Lends.
 */
struct metric *metrics_register(struct metrics *m, enum metric_kind kind,
                                const char *name, const char *help,
                                const char *const *labels);
/*
 * A gauge that is read when asked for. read gives false when there is no value now: then
 * the series is left out. It must not block.
 */
void metrics_register_reader(struct metrics *m, const char *name, const char *help,
                             bool (*read)(void *ctx, double *ret_value), void *ctx);

/* values: one per label, NULL for a metric without labels. m may be NULL: does nothing.
 */
void metric_add(struct metric *m, const char *const *values, double n);
void metric_set(struct metric *m, const char *const *values, double n);
void metric_observe(struct metric *m, const char *const *values, double seconds);

void metrics_format(struct metrics *m, struct buf *b);

#endif
