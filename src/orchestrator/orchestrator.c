#include "orchestrator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "lease.h"
#include "value/value.h"

enum { DUTY_TICK_MS = 1000, PULSE_MAX_MS = 1000 };

struct orchestrator {
    struct orchestrator_options options;
    struct arena *arena;
    struct lease lease;       /* guarded by: lease_mu */
    pthread_mutex_t lease_mu; /* held over one step of the store */
    pthread_mutex_t mu;
    pthread_cond_t wake;
    bool end; /* guarded by: mu */
    atomic_bool leads;
    pthread_t keeper, worker, pulser;
    bool started;
};

struct orchestrator *orchestrator_open(const struct orchestrator_options *options) {
    struct orchestrator *o = calloc(1, sizeof(*o));
    const struct deps *deps = options->deps;
    pthread_condattr_t attr;
    char host[64] = "";

    if (!o)
        abort();
    o->options = *options;
    o->arena = arena_new(0);
    gethostname(host, sizeof(host) - 1);
    o->lease = (struct lease){
        .name = "orchestrator",
        .holder = arena_printf(o->arena, "%s-%d-%s", host, (int)getpid(),
                               token_new(deps->rand, o->arena, 6)),
        .life_ms = options->life_ms ? options->life_ms
                                    : deps->config->orchestrator_lease_seconds * 1000,
    };
    pthread_mutex_init(&o->lease_mu, NULL);
    pthread_mutex_init(&o->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->wake, &attr);
    pthread_condattr_destroy(&attr);
    return o;
}

bool orchestrator_leads(const struct orchestrator *o) {
    return atomic_load(&o->leads);
}

static void set_leads(struct orchestrator *o, bool leads) {
    if (atomic_exchange(&o->leads, leads) != leads && o->options.leads)
        o->options.leads(o->options.ctx, leads, o->lease.fence);
}

int orchestrator_keep(struct orchestrator *o, struct status *st) {
    const struct deps *deps = o->options.deps;
    int rc;

    pthread_mutex_lock(&o->lease_mu);
    rc = lease_keep(&o->lease, deps->store, deps->clock, st);
    set_leads(o, rc == 0);
    pthread_mutex_unlock(&o->lease_mu);
    return rc;
}

/* ---- Duties ---- */

/* May the duty begin now? Says so in the store first. */
static bool claim_duty(struct orchestrator *o, const struct orchestrator_duty *duty,
                       struct arena *a) {
    const struct deps *deps = o->options.deps;
    const char *member = arena_printf(a, "begun.%s", duty->name);
    int64_t now = clock_now_ms(deps->clock);
    const struct value *doc;
    bool claimed = false;
    struct status st;

    st_init(&st, a);
    pthread_mutex_lock(&o->lease_mu);
    if (o->lease.held && lease_read(&o->lease, deps->store, a, &doc, &st) == 0 &&
        value_get_number(value_get(doc, "begun"), duty->name, 0) +
                duty->interval_s * 1000.0 <=
            (double)now)
        claimed = lease_mark(&o->lease, deps->store, deps->clock, a,
                             value_obj(a, member, value_number(a, (double)now), NULL),
                             &st) == 0;
    pthread_mutex_unlock(&o->lease_mu);
    return claimed;
}

static void run_duty(struct orchestrator *o, const struct orchestrator_duty *duty,
                     struct arena *a) {
    const struct deps *deps = o->options.deps;
    int64_t start = clock_monotonic_ms(deps->clock);
    struct status why;

    st_init(&why, a);
    duty->run(deps, a, &why);
    if (o->options.ended)
        o->options.ended(o->options.ctx, duty, &why,
                         clock_monotonic_ms(deps->clock) - start);
}

static bool ends(struct orchestrator *o) {
    bool end;

    pthread_mutex_lock(&o->mu);
    end = o->end;
    pthread_mutex_unlock(&o->mu);
    return end;
}

int orchestrator_run_due(struct orchestrator *o) {
    struct arena *a = arena_new(0);
    int n = 0;

    for (size_t i = 0; i < o->options.duties_len && !ends(o); i++) {
        const struct orchestrator_duty *duty = &o->options.duties[i];

        arena_reset(a);
        if (!orchestrator_leads(o) || !claim_duty(o, duty, a))
            continue;
        run_duty(o, duty, a);
        n++;
    }
    arena_free(&a);
    return n;
}

int64_t orchestrator_pulse(struct orchestrator *o) {
    struct arena *a;
    struct status st;
    int64_t ms;

    if (!o->options.pulse || !orchestrator_leads(o))
        return PULSE_MAX_MS;
    a = arena_new(0);
    st_init(&st, a);
    ms = o->options.pulse(o->options.ctx, o->options.deps, a, &st);
    if (st.type != ST_OK) {
        if (o->options.pulse_failed)
            o->options.pulse_failed(o->options.ctx, &st);
        ms = PULSE_MAX_MS;
    }
    arena_free(&a);
    return ms < 1 ? 1 : ms < PULSE_MAX_MS ? ms : PULSE_MAX_MS;
}

/* ---- Threads ---- */

/* False when it is time to end. */
static bool wait_ms(struct orchestrator *o, int64_t ms) {
    struct timespec until;
    bool end;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (until.tv_nsec / 1000000 + ms) / 1000;
    until.tv_nsec = (until.tv_nsec + ms % 1000 * 1000000) % 1000000000;
    pthread_mutex_lock(&o->mu);
    while (!o->end && rc == 0)
        rc = pthread_cond_timedwait(&o->wake, &o->mu, &until);
    end = o->end;
    pthread_mutex_unlock(&o->mu);
    return !end;
}

static void *keep_lease(void *arg) {
    struct orchestrator *o = arg;
    struct arena *a = arena_new(0);
    struct status st;

    do {
        arena_reset(a);
        st_init(&st, a);
        orchestrator_keep(o, &st);
    } while (wait_ms(o, o->lease.life_ms / 3));
    arena_free(&a);
    return NULL;
}

static void *do_duties(void *arg) {
    struct orchestrator *o = arg;

    do
        orchestrator_run_due(o);
    while (wait_ms(o, DUTY_TICK_MS));
    return NULL;
}

static void *call_pulse(void *arg) {
    struct orchestrator *o = arg;

    while (wait_ms(o, orchestrator_pulse(o)))
        ;
    return NULL;
}

void orchestrator_start(struct orchestrator *o) {
    if (pthread_create(&o->keeper, NULL, keep_lease, o) != 0 ||
        pthread_create(&o->pulser, NULL, call_pulse, o) != 0 ||
        pthread_create(&o->worker, NULL, do_duties, o) != 0)
        abort();
    o->started = true;
}

void orchestrator_stop(struct orchestrator *o) {
    struct arena *a;
    struct status st;

    pthread_mutex_lock(&o->mu);
    o->end = true;
    pthread_cond_broadcast(&o->wake);
    pthread_mutex_unlock(&o->mu);
    if (o->started) {
        pthread_join(o->worker, NULL);
        pthread_join(o->pulser, NULL);
        pthread_join(o->keeper, NULL);
        o->started = false;
    }
    a = arena_new(0);
    st_init(&st, a);
    pthread_mutex_lock(&o->lease_mu);
    lease_resign(&o->lease, o->options.deps->store, &st);
    set_leads(o, false);
    pthread_mutex_unlock(&o->lease_mu);
    arena_free(&a);
}

void orchestrator_close(struct orchestrator **op) {
    struct orchestrator *o = *op;

    if (!o)
        return;
    orchestrator_stop(o);
    pthread_cond_destroy(&o->wake);
    pthread_mutex_destroy(&o->mu);
    pthread_mutex_destroy(&o->lease_mu);
    arena_free(&o->arena);
    free(o);
    *op = NULL;
}
