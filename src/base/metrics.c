/*
 * A metric is an open hash table of series under one mutex, held for a look-up and an
 * addition only. Labels are compared as one joined text, escaped as it is printed.
 */
#include "metrics.h"

#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                0.5,   1,      2.5,   5,    10,    30,   60};
enum {
    BUCKETS = sizeof(bounds) / sizeof(*bounds),
    MAX_LABEL_BYTES = 512,
};

struct series {
    struct series *next; /* in its hash chain */
    char *labels;        /* `a="x",b="y"`, or "" */
    uint32_t hash;
    double value; /* of a histogram: the sum */
    uint64_t count;
    uint64_t bucket[];
};

struct metric {
    enum metric_kind kind;
    const char *name, *help;
    const char *labels[METRICS_MAX_LABELS + 1];
    bool (*read)(void *ctx, double *ret_value);
    void *read_ctx;
    pthread_mutex_t mu;
    struct series **chains; /* guarded by: mu, as the rest */
    size_t chains_len, series_len;
    struct metric *next;
};

struct metrics {
    struct metric *first, **last;
    double start_seconds;
};

/* ---- The process ---- */

static bool read_resident(void *ctx, double *ret_value) {
    FILE *f = fopen("/proc/self/statm", "re");
    long total, resident = 0;

    (void)ctx;
    if (!f)
        return false;
    if (fscanf(f, "%ld %ld", &total, &resident) != 2)
        resident = 0;
    fclose(f);
    *ret_value = (double)resident * (double)sysconf(_SC_PAGESIZE);
    return true;
}

static bool read_cpu(void *ctx, double *ret_value) {
    struct rusage u;

    (void)ctx;
    if (getrusage(RUSAGE_SELF, &u) < 0)
        return false;
    *ret_value = (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    return true;
}

static bool read_descriptors(void *ctx, double *ret_value) {
    DIR *d = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the directory itself */

    (void)ctx;
    if (!d)
        return false;
    while (readdir(d))
        n++;
    closedir(d);
    *ret_value = n;
    return true;
}

static bool read_start(void *ctx, double *ret_value) {
    *ret_value = ((const struct metrics *)ctx)->start_seconds;
    return true;
}

struct metrics *metrics_new(void) {
    struct metrics *m = calloc(1, sizeof(*m));
    struct timespec now;

    if (!m)
        abort();
    m->last = &m->first;
    clock_gettime(CLOCK_REALTIME, &now);
    m->start_seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    metrics_register_reader(m, "process_resident_memory_bytes",
                            "Resident memory size in bytes.", read_resident, NULL);
    metrics_register_reader(m, "process_cpu_seconds_total",
                            "User and system time spent, in seconds.", read_cpu, NULL);
    metrics_register_reader(m, "process_open_fds", "Number of open file descriptors.",
                            read_descriptors, NULL);
    metrics_register_reader(m, "process_start_time_seconds",
                            "Start time of the process since 1970, in seconds.",
                            read_start, m);
    return m;
}

void metrics_free(struct metrics **pm) {
    struct metrics *m = *pm;

    if (!m)
        return;
    while (m->first) {
        struct metric *metric = m->first;

        m->first = metric->next;
        for (size_t i = 0; i < metric->chains_len; i++) {
            while (metric->chains[i]) {
                struct series *s = metric->chains[i];

                metric->chains[i] = s->next;
                free(s->labels);
                free(s);
            }
        }
        free(metric->chains);
        pthread_mutex_destroy(&metric->mu);
        free(metric);
    }
    free(m);
    *pm = NULL;
}

/* ---- Registration ---- */

static struct metric *add_metric(struct metrics *m, const char *name, const char *help) {
    struct metric *metric = calloc(1, sizeof(*metric));

    if (!metric)
        abort();
    for (const struct metric *other = m->first; other; other = other->next)
        assert(strcmp(other->name, name) != 0);
    metric->name = name;
    metric->help = help;
    pthread_mutex_init(&metric->mu, NULL);
    *m->last = metric;
    m->last = &metric->next;
    return metric;
}

struct metric *metrics_register(struct metrics *m, enum metric_kind kind,
                                const char *name, const char *help,
                                const char *const *labels) {
    struct metric *metric = add_metric(m, name, help);

    metric->kind = kind;
    for (size_t i = 0; labels && labels[i]; i++) {
        assert(i < METRICS_MAX_LABELS);
        metric->labels[i] = labels[i];
    }
    metric->chains_len = labels ? 256 : 1;
    metric->chains = calloc(metric->chains_len, sizeof(*metric->chains));
    if (!metric->chains)
        abort();
    if (!labels)
        metric_add(metric, NULL, 0);
    return metric;
}

void metrics_register_reader(struct metrics *m, const char *name, const char *help,
                             bool (*read)(void *ctx, double *ret_value), void *ctx) {
    struct metric *metric = add_metric(m, name, help);
    size_t n = strlen(name);

    metric->kind =
        n > 6 && !strcmp(name + n - 6, "_total") ? METRIC_COUNTER : METRIC_GAUGE;
    metric->read = read;
    metric->read_ctx = ctx;
}

/* ---- Series ---- */

/* Joins `a="x",b="y"`; values NULL: every label is "other". */
static size_t join_labels(const struct metric *m, const char *const *values,
                          char out[MAX_LABEL_BYTES]) {
    size_t n = 0;

    for (size_t i = 0; m->labels[i]; i++) {
        const char *v = values && values[i] ? values[i] : "other";

        n += (size_t)snprintf(out + n, MAX_LABEL_BYTES - n, "%s%s=\"", i ? "," : "",
                              m->labels[i]);
        for (; *v && n < MAX_LABEL_BYTES - 100; v++) {
            if (*v == '"' || *v == '\\')
                out[n++] = '\\';
            out[n++] = *v == '\n' ? ' ' : *v;
        }
        out[n++] = '"';
    }
    out[n] = '\0';
    return n;
}

static uint32_t hash_text(const char *s, size_t len) {
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

/* The mutex is held. */
static struct series *series_of(struct metric *m, const char *const *values) {
    char labels[MAX_LABEL_BYTES];
    size_t len = join_labels(m, values, labels);
    uint32_t hash = hash_text(labels, len);
    struct series **chain = &m->chains[hash % m->chains_len], *s;
    size_t buckets = m->kind == METRIC_HISTOGRAM ? BUCKETS : 0;

    for (s = *chain; s; s = s->next)
        if (s->hash == hash && !strcmp(s->labels, labels))
            return s;
    if (m->series_len >= METRICS_MAX_SERIES && values)
        return series_of(m, NULL);
    s = calloc(1, sizeof(*s) + buckets * sizeof(s->bucket[0]));
    if (!s || !(s->labels = strdup(labels)))
        abort();
    s->hash = hash;
    s->next = *chain;
    *chain = s;
    m->series_len++;
    return s;
}

void metric_add(struct metric *m, const char *const *values, double n) {
    if (!m)
        return;
    pthread_mutex_lock(&m->mu);
    series_of(m, values)->value += n;
    pthread_mutex_unlock(&m->mu);
}

void metric_set(struct metric *m, const char *const *values, double n) {
    if (!m)
        return;
    pthread_mutex_lock(&m->mu);
    series_of(m, values)->value = n;
    pthread_mutex_unlock(&m->mu);
}

void metric_observe(struct metric *m, const char *const *values, double seconds) {
    struct series *s;

    if (!m)
        return;
    pthread_mutex_lock(&m->mu);
    s = series_of(m, values);
    s->value += seconds;
    s->count++;
    for (size_t i = 0; i < BUCKETS; i++) {
        if (seconds <= bounds[i]) {
            s->bucket[i]++;
            break;
        }
    }
    pthread_mutex_unlock(&m->mu);
}

/* ---- Text ---- */

static void add_number(struct buf *b, double n) {
    if (isnan(n))
        buf_adds(b, "NaN");
    else if (isinf(n))
        buf_adds(b, n > 0 ? "+Inf" : "-Inf");
    else
        buf_addf(b, "%.15g", n);
    buf_addc(b, '\n');
}

static void add_sample(struct buf *b, const char *name, const char *suffix,
                       const char *labels, const char *bound, double n) {
    buf_adds(b, name);
    buf_adds(b, suffix);
    if (*labels || bound) {
        buf_addf(b, "{%s", labels);
        if (bound)
            buf_addf(b, "%sle=\"%s\"", *labels ? "," : "", bound);
        buf_addc(b, '}');
    }
    buf_addc(b, ' ');
    add_number(b, n);
}

static void add_histogram(struct buf *b, const char *name, const struct series *s) {
    uint64_t below = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        char bound[32];

        below += s->bucket[i];
        snprintf(bound, sizeof(bound), "%.15g", bounds[i]);
        add_sample(b, name, "_bucket", s->labels, bound, (double)below);
    }
    add_sample(b, name, "_bucket", s->labels, "+Inf", (double)s->count);
    add_sample(b, name, "_sum", s->labels, NULL, s->value);
    add_sample(b, name, "_count", s->labels, NULL, (double)s->count);
}

static void add_head(struct buf *b, const struct metric *m) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
             kinds[m->kind]);
}

void metrics_format(struct metrics *metrics, struct buf *b) {
    for (struct metric *m = metrics->first; m; m = m->next) {
        double n;

        if (m->read) {
            if (m->read(m->read_ctx, &n)) {
                add_head(b, m);
                add_sample(b, m->name, "", "", NULL, n);
            }
            continue;
        }
        pthread_mutex_lock(&m->mu);
        if (m->series_len)
            add_head(b, m);
        for (size_t i = 0; i < m->chains_len; i++) {
            for (const struct series *s = m->chains[i]; s; s = s->next) {
                if (m->kind == METRIC_HISTOGRAM)
                    add_histogram(b, m->name, s);
                else
                    add_sample(b, m->name, "", s->labels, NULL, s->value);
            }
        }
        pthread_mutex_unlock(&m->mu);
    }
}
