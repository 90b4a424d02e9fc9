/*
 * runner_job.c - one job, from the frame that starts it to its end.
 *
 * Nothing that the process says is believed: frames are bounded, a result is parsed, an
 * error's type is one that code may raise. Whatever happens to the process becomes one
 * clear error: over its time, out of memory, killed for a forbidden system call, gone.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "runner_priv.h"
#include "value/value_status.h"

enum {
    FRAME_SLACK = 256 * 1024, /* what surrounds a result */
    READ_BYTES = 256 * 1024,
    MAX_ATTEMPTS = 3,
    ACCEPT_MS =
        2000, /* a process takes a job at once; this is for a machine that is busy */
    PARSED_BYTES_PER_MS = 10000,
};

struct job {
    struct runner *runner;
    struct arena *arena;
    struct runner_job entry;
    struct runner_process process;
    struct runner_io *io;
    struct runner_limits limits;
    int64_t started_ms, ended_ms, patience_ms;
    char *in; /* malloc'ed; frames that have arrived in part */
    size_t in_len, in_cap;
    char said[4096];          /* on standard error */
    const struct value *last; /* the frame that ended it */
    bool accepted;            /* the process has it: no other may get it */
    bool timed_out, too_large;
};

/* ---- Limits ---- */

static int64_t bounded(const struct value *limits, const char *name, int64_t otherwise,
                       int64_t least, int64_t most) {
    double n = value_get_number(limits, name, (double)otherwise);

    if (!(n > 0))
        n = (double)otherwise;
    return n < (double)least ? least : n > (double)most ? most : (int64_t)n;
}

static struct runner_limits limits_of(const struct value *body) {
    const struct value *v = value_get(body, "limits");

    return (struct runner_limits){
        .timeout_ms =
            bounded(v, "timeoutMs", RUNNER_TIMEOUT_MS, 10, RUNNER_MAX_TIMEOUT_MS),
        .memory_bytes = bounded(v, "memoryBytes", RUNNER_MEMORY_BYTES,
                                RUNNER_MIN_MEMORY_BYTES, RUNNER_MEMORY_BYTES),
        .output_bytes =
            bounded(v, "outputBytes", RUNNER_OUTPUT_BYTES, 1, RUNNER_OUTPUT_BYTES),
    };
}

/* ---- The list of jobs, for cancelling ---- */

static int enter(struct job *j, struct status *st) {
    struct runner *r = j->runner;
    bool taken = false;

    pthread_mutex_lock(&r->lock);
    for (const struct runner_job *o = r->jobs; o; o = o->next)
        taken |= strcmp(o->id, j->entry.id) == 0;
    if (!taken) {
        j->entry.next = r->jobs;
        r->jobs = &j->entry;
    }
    pthread_mutex_unlock(&r->lock);
    return taken ? st_fail(st, ST_BAD_REQUEST, NULL, "a job with this id is under way")
                 : 0;
}

/* Which process runs it, or NULL; false when it has been cancelled. */
static bool set_process(struct job *j, const struct runner_process *p) {
    bool wanted;

    pthread_mutex_lock(&j->runner->lock);
    j->entry.process = p;
    wanted = !j->entry.cancelled;
    pthread_mutex_unlock(&j->runner->lock);
    return wanted;
}

static void leave(struct job *j) {
    struct runner *r = j->runner;

    pthread_mutex_lock(&r->lock);
    for (struct runner_job **p = &r->jobs; *p; p = &(*p)->next)
        if (*p == &j->entry) {
            *p = j->entry.next;
            break;
        }
    pthread_mutex_unlock(&r->lock);
}

bool runner_job_cancel(struct runner *r, const char *id) {
    bool found = false;

    pthread_mutex_lock(&r->lock);
    for (struct runner_job *j = r->jobs; j; j = j->next)
        if (strcmp(j->id, id) == 0) {
            j->cancelled = true;
            if (j->process)
                runner_process_kill(j->process);
            found = true;
        }
    pthread_mutex_unlock(&r->lock);
    return found;
}

/* ---- Frames ---- */

static int start(struct job *j, const struct value *body) {
    static const char *const passed[] = {"code",  "modules",   "main",
                                         "entry", "arguments", "engine",
                                         "each",  "helpers",   NULL};
    struct arena *a = j->arena;
    struct array_builder clients;
    struct buf b = BUF_INIT;
    const struct value *frame;
    int rc;

    array_begin(&clients, a, 2);
    for (VALUE_EACH_MEMBER(m, value_get(body, "grant")))
        array_push(&clients, value_string_len(a, m->key, m->key_len));
    frame = value_merge(
        a, value_pick(a, body, passed),
        value_obj(
            a, "clients", array_end(&clients), "limits",
            value_obj(a, "outputBytes", value_number(a, (double)j->limits.output_bytes),
                      "memoryBytes", value_number(a, (double)j->limits.memory_bytes),
                      "cpuSeconds",
                      value_number(a, (double)(j->limits.timeout_ms / 1000 + 3)), NULL),
            NULL));
    value_encode(&b, frame, VALUE_ENCODE_COMPACT);
    rc = runner_write_frame(j->process.socket, b.data, b.len);
    j->patience_ms = ACCEPT_MS + (int64_t)b.len / PARSED_BYTES_PER_MS;
    buf_fini(&b);
    return rc;
}

/* 1: the job is over. */
static int take_frame(struct job *j, const char *text, size_t len) {
    const struct value *frame;
    struct status ignored;
    const struct value *type;

    st_init(&ignored, j->arena);
    /* A call may be large and is parsed on its own thread. */
    if (len > 11 && memcmp(text, "{\"t\":\"call\"", 11) == 0) {
        char *copy = malloc(len);

        if (!copy)
            abort();
        memcpy(copy, text, len);
        runner_io_call(j->io, copy, len);
        return 0;
    }
    if (value_parse(j->arena, text, len, NULL, &frame, &ignored) < 0)
        frame = value_obj(j->arena, "t", value_string(j->arena, "bad"), NULL);
    type = value_get(frame, "t");
    if (!j->accepted && value_equals_text(type, "accepted")) {
        /* Only now the code's own time begins. */
        j->accepted = true;
        j->started_ms = clock_monotonic_ms(clock_system());
        return 0;
    }
    if (value_equals_text(type, "log")) {
        runner_io_log(j->io, value_get_string(frame, "level", "info"),
                      value_get_string(frame, "message", ""));
        return 0;
    }
    j->last = frame;
    return 1;
}

/* Takes all whole frames; 1 when the job is over. */
static int take_frames(struct job *j) {
    size_t at = 0, most = (size_t)j->limits.output_bytes + FRAME_SLACK;

    if (most < RUNNER_MAX_CALL_BYTES)
        most = RUNNER_MAX_CALL_BYTES;
    while (j->in_len - at >= 4) {
        const unsigned char *h = (const unsigned char *)j->in + at;
        size_t len = h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;

        if (len > most) {
            j->too_large = true;
            return 1;
        }
        if (j->in_len - at - 4 < len)
            break;
        if (take_frame(j, j->in + at + 4, len))
            return 1;
        at += 4 + len;
    }
    memmove(j->in, j->in + at, j->in_len - at);
    j->in_len -= at;
    return 0;
}

/* 1: over, or nobody there any more. */
static int receive(struct job *j) {
    ssize_t n;

    if (j->in_cap - j->in_len < READ_BYTES) {
        j->in_cap = j->in_cap ? j->in_cap * 2 : 2 * READ_BYTES;
        j->in = realloc(j->in, j->in_cap);
        if (!j->in)
            abort();
    }
    n = recv(j->process.socket, j->in + j->in_len, j->in_cap - j->in_len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return 1;
    j->in_len += (size_t)n;
    return take_frames(j);
}

/* Until the job is over, its time is, or the process does not take it. */
static void wait_for_end(struct job *j) {
    for (;;) {
        struct pollfd f = {j->process.socket, POLLIN, 0};
        int64_t left = j->started_ms - clock_monotonic_ms(clock_system());

        left += j->accepted ? j->limits.timeout_ms : j->patience_ms;
        if (left <= 0) {
            j->timed_out = j->accepted;
            return;
        }
        if (poll(&f, 1, (int)left) > 0 && receive(j))
            return;
    }
}

/* ---- What came of it ---- */

/* Types that code may end with; anything else would be an error of ours. */
static bool may_raise(const char *type) {
    static const char *const types[] = {"custom_code", "connection", "bad_request",
                                        "configuration", "concurrency"};

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

static int raise_error(struct job *j, struct status *st) {
    const struct value *error = value_get(j->last, "error");

    if (!may_raise(value_get_string(error, "type", "")))
        return st_fail(st, ST_CUSTOM_CODE, NULL, "%.1000s",
                       value_get_string(error, "message", "the code failed"));
    return value_to_status(error, st);
}

static bool says_memory(const char *said) {
    return strstr(said, "heap out of memory") || strstr(said, "Allocation failed") ||
           strstr(said, "out of memory");
}

static int explain_death(struct job *j, int wait_status, struct status *st) {
    int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

    if (j->entry.cancelled)
        return st_fail(st, ST_CUSTOM_CODE, "cancelled", "The run was cancelled");
    if (j->timed_out)
        return st_fail(st, ST_CUSTOM_CODE, "timeout", "The code ran longer than %lld ms",
                       (long long)j->limits.timeout_ms);
    if (j->too_large)
        return st_fail(st, ST_CUSTOM_CODE, "output_limit",
                       "The result is larger than the limit of %lld bytes",
                       (long long)j->limits.output_bytes);
    if (says_memory(j->said))
        return st_fail(st, ST_CUSTOM_CODE, "memory_limit",
                       "The code needs more than %lld MB of memory",
                       (long long)j->limits.memory_bytes >> 20);
    if (sig == SIGXCPU)
        return st_fail(st, ST_CUSTOM_CODE, "timeout",
                       "The code used more processor time than it may");
    if (sig == SIGSYS)
        return st_fail(st, ST_CUSTOM_CODE, "forbidden",
                       "The code tried what custom code may not do");
    return st_fail(st, ST_CUSTOM_CODE, "crashed", "The process of the code ended");
}

static int outcome(struct job *j, int wait_status, struct runner_outcome *ret,
                   struct status *st) {
    if (j->last && value_equals_text(value_get(j->last, "t"), "done")) {
        ret->result = value_get(j->last, "result");
        return 0;
    }
    if (j->last && value_equals_text(value_get(j->last, "t"), "error"))
        return raise_error(j, st);
    return explain_death(j, wait_status, st);
}

static const struct value *usage_of(struct job *j, const struct runner_usage *u) {
    struct arena *a = j->arena;
    int64_t ms = j->ended_ms - j->started_ms;

    return value_obj(a, "durationMs", value_number(a, (double)ms), "cpuMs",
                     value_number(a, u->cpu_ms), "maxMemoryBytes",
                     value_number(a, (double)u->max_rss_bytes), "requests",
                     value_number(a, runner_io_calls(j->io)), "clientSuccesses",
                     value_number(a, runner_io_successes(j->io)), NULL);
}

static void count(struct job *j, int rc, const struct status *st) {
    const char *how = rc == 0 ? "ok" : st->key ? st->key : "error";
    static const char *const known[] = {"timeout",   "memory_limit", "output_limit",
                                        "cancelled", "crashed",      "forbidden"};
    const char *label = rc == 0 ? "ok" : "error";

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i], how) == 0)
            label = known[i];
    metric_add(j->runner->job_count, (const char *[]){label}, 1);
    metric_observe(j->runner->durations, NULL,
                   (double)(j->ended_ms - j->started_ms) / 1000);
}

/* ---- The job ---- */

/* Ends the process; after an answer nobody waits for its death. */
static void end(struct job *j, bool answered, int *ret_wait_status,
                struct runner_usage *ret_usage) {
    struct pollfd gone = {j->process.errors, POLLIN, 0};

    *ret_wait_status = 0;
    if (answered) {
        runner_process_dismiss(&j->process, ret_usage);
        return;
    }
    /* Did it close its socket by dying? Let it die of what it dies of. */
    for (int i = 0; i < 50 && !j->timed_out && !j->too_large && !(gone.revents & POLLHUP);
         i++)
        poll(&gone, 1, 2);
    runner_process_said(&j->process, j->said, sizeof(j->said));
    runner_process_end(&j->process, ret_wait_status, ret_usage);
}

/*
 * One process, one try. 1: the process was lost before it had taken the job, so that
 * another one may get it.
 */
static int attempt(struct job *j, const struct value *body, struct runner_outcome *ret,
                   struct status *st) {
    struct runner_usage usage;
    int wait_status, rc;
    bool answered;

    j->accepted = j->timed_out = j->too_large = false;
    j->last = NULL;
    j->in_len = 0;
    j->said[0] = '\0';
    j->started_ms = clock_monotonic_ms(clock_system());
    j->io = runner_io_new(j->runner, j->process.socket, value_get(body, "grant"),
                          j->started_ms + j->limits.timeout_ms);
    if (set_process(j, &j->process) && start(j, body) == 0)
        wait_for_end(j);
    j->ended_ms = clock_monotonic_ms(clock_system());
    set_process(j, NULL);
    answered = j->last && (value_equals_text(value_get(j->last, "t"), "done") ||
                           value_equals_text(value_get(j->last, "t"), "error"));
    end(j, answered, &wait_status, &usage);
    rc = outcome(j, wait_status, ret, st);
    ret->logs = runner_io_logs(j->io, j->arena);
    ret->usage = usage_of(j, &usage);
    runner_io_end(j->io);
    return !j->accepted && !answered && !j->entry.cancelled && !says_memory(j->said) ? 1
                                                                                     : rc;
}

static int run(struct job *j, const struct value *body, bool spare,
               struct runner_outcome *ret, struct status *st) {
    int rc = 1;

    for (int i = 0; i < MAX_ATTEMPTS && rc > 0; i++) {
        if (runner_pool_take(j->runner, spare, &j->process, st) < 0)
            return -1;
        rc = attempt(j, body, ret, st);
        runner_pool_give(j->runner, spare, rc > 0);
    }
    count(j, rc, st);
    return rc ? -1 : 0;
}

static int check(const struct value *body, struct status *st) {
    const struct value *code = value_get(body, "code"), *modules;

    modules = value_get(body, "modules");
    if (!value_is_string(code) &&
        !(value_is_object(modules) && value_is_string(value_get(body, "main"))))
        return st_fail(st, ST_BAD_REQUEST, NULL, "a job needs code, or modules and main");
    for (VALUE_EACH_MEMBER(m, modules))
        if (!value_is_string(&m->value))
            return st_fail(st, ST_BAD_REQUEST, NULL, "the source of a module is a text");
    return 0;
}

int runner_job_run(struct runner *r, struct arena *a, const char *id,
                   const struct value *body, bool spare, struct runner_outcome *ret,
                   struct status *st) {
    struct job j = {.runner = r, .arena = a, .entry = {.id = id}};
    int rc;

    *ret = (struct runner_outcome){&value_null, &value_empty_array, &value_empty_object};
    if (check(body, st) < 0 || enter(&j, st) < 0)
        return -1;
    j.limits = limits_of(body);
    rc = run(&j, body, spare, ret, st);
    leave(&j);
    free(j.in);
    return rc;
}

int runner_job_try(struct runner *r, struct arena *a, struct runner_process *p,
                   const struct value *body, struct runner_outcome *ret,
                   struct status *st) {
    struct job j = {.runner = r,
                    .arena = a,
                    .entry = {.id = "trial"},
                    .process = *p,
                    .limits = limits_of(body)};
    int rc = attempt(&j, body, ret, st);

    free(j.in);
    return rc ? -1 : 0;
}
