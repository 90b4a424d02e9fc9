/*
 * store_sqlite_writer.c - one thread writes: group commit.
 *
 * Callers queue a job and block. The writer takes everything that is queued, makes it one
 * transaction, commits (one fsync), and wakes the whole group at once. While it waits for
 * the disk the next group gathers by itself, so nobody waits for company: alone a write
 * costs one fsync, with many writers an fsync is shared.
 *
 * A job is one statement that changes something, or several of which each may stand
 * alone, so a job that fails leaves nothing half done and its neighbours unharmed. When
 * the transaction itself fails, all of its jobs fail.
 *
 * A group sleeps on one futex word: one system call wakes it. With a condition variable
 * every waiter would have to pass its mutex, one after the other.
 */
#include "store_sqlite_priv.h"

#include <assert.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"

enum { CHECKPOINT_IDLE_PAGES = 1000, CHECKPOINT_BUSY_PAGES = 16000 };

/* Those who wait for the same commit. */
struct store_sqlite_wave {
    atomic_uint done; /* the futex word */
    atomic_uint refs;
};

static struct store_sqlite_wave *wave_new(void) {
    struct store_sqlite_wave *wave = malloc(sizeof(*wave));

    if (!wave)
        abort();
    atomic_init(&wave->done, 0);
    atomic_init(&wave->refs, 1);
    return wave;
}

static void wave_unref(struct store_sqlite_wave *wave) {
    if (atomic_fetch_sub_explicit(&wave->refs, 1, memory_order_acq_rel) == 1)
        free(wave);
}

static void wave_wait(struct store_sqlite_wave *wave) {
    while (!atomic_load_explicit(&wave->done, memory_order_acquire))
        syscall(SYS_futex, &wave->done, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    wave_unref(wave);
}

static void wave_finish(struct store_sqlite_wave *wave) {
    atomic_store_explicit(&wave->done, 1, memory_order_release);
    syscall(SYS_futex, &wave->done, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
    wave_unref(wave);
}

/* ---- The writer thread ---- */

static void fail_all(struct store_sqlite_conn *c, struct store_sqlite_job *jobs) {
    int rc = sqlite3_extended_errcode(c->db);

    for (struct store_sqlite_job *j = jobs; j; j = j->next)
        j->rc = store_sqlite_conn_fail(c, rc, j->st);
}

/* Runs the jobs as one transaction. */
static void run_group(struct store_sqlite_conn *c, struct store_sqlite_job *jobs) {
    static const char begin[] = "BEGIN IMMEDIATE", commit[] = "COMMIT";

    if (sqlite3_exec(c->db, begin, NULL, NULL, NULL) != SQLITE_OK) {
        fail_all(c, jobs);
        return;
    }
    for (struct store_sqlite_job *j = jobs; j; j = j->next) {
        arena_reset(c->scratch);
        j->rc = j->run(c, j, j->st);
        if (sqlite3_get_autocommit(c->db)) { /* a full disk ends the transaction */
            fail_all(c, jobs);
            return;
        }
    }
    if (sqlite3_exec(c->db, commit, NULL, NULL, NULL) != SQLITE_OK) {
        fail_all(c, jobs);
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* Moves the log into the database file: in a pause, or when the log has grown long. */
static void checkpoint(struct store_sqlite_conn *c, bool idle) {
    if (c->wal_pages < (idle ? CHECKPOINT_IDLE_PAGES : CHECKPOINT_BUSY_PAGES))
        return;
    sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    c->wal_pages = 0; /* the next commit says how long it is now */
}

static void *write_groups(void *arg) {
    struct store_sqlite_writer *w = arg;
    struct store_sqlite_job *jobs;
    struct store_sqlite_wave *wave;
    bool idle;

    pthread_mutex_lock(&w->mu);
    for (;;) {
        while (!w->first && !w->stop) {
            w->asleep = true;
            pthread_cond_wait(&w->wake, &w->mu);
            w->asleep = false;
        }
        if (!w->first)
            break;
        jobs = w->first;
        wave = w->wave;
        w->first = NULL;
        w->last = &w->first;
        w->wave = wave_new();
        pthread_mutex_unlock(&w->mu);

        run_group(w->conn, jobs);
        wave_finish(wave); /* the jobs belong to their callers again */

        pthread_mutex_lock(&w->mu);
        idle = !w->first;
        pthread_mutex_unlock(&w->mu);
        checkpoint(w->conn, idle);
        pthread_mutex_lock(&w->mu);
    }
    pthread_mutex_unlock(&w->mu);
    return NULL;
}

/* ---- For callers ---- */

int store_sqlite_writer_do(struct store_sqlite_writer *w, struct store_sqlite_job *job,
                           struct status *st) {
    struct store_sqlite_wave *wave;
    bool asleep;

    job->st = st;
    job->rc = -1;
    job->next = NULL;
    if (!w->started) {
        run_group(w->conn, job);
        return job->rc;
    }
    pthread_mutex_lock(&w->mu);
    assert(!w->stop);
    *w->last = job;
    w->last = &job->next;
    wave = w->wave;
    atomic_fetch_add_explicit(&wave->refs, 1, memory_order_relaxed);
    asleep = w->asleep;
    pthread_mutex_unlock(&w->mu);
    if (asleep)
        pthread_cond_signal(&w->wake);
    wave_wait(wave);
    return job->rc;
}

void store_sqlite_writer_open(struct store_sqlite_writer *w,
                              struct store_sqlite_conn *conn) {
    w->conn = conn;
    w->started = false;
}

void store_sqlite_writer_start(struct store_sqlite_writer *w) {
    if (w->started)
        return;
    w->first = NULL;
    w->last = &w->first;
    w->wave = wave_new();
    w->asleep = w->stop = false;
    pthread_mutex_init(&w->mu, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, write_groups, w) != 0)
        abort();
    w->started = true;
}

void store_sqlite_writer_close(struct store_sqlite_writer *w) {
    if (w->started) {
        pthread_mutex_lock(&w->mu);
        w->stop = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mu);
        pthread_join(w->thread, NULL);
        wave_unref(w->wave);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->mu);
        w->started = false;
    }
    store_sqlite_conn_close(&w->conn);
}
