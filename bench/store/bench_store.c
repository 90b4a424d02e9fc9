/*
 * bench_store - durable commits, reads and claims per second, beside bare SQLite doing
 * the same in the same run.
 * Usage: bench_store [directory on the disk to measure [MongoDB address with a new
 * database]]
 */
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/store.h"
#include "value/value.h"

enum { RUN_MS = 1500, MAX_THREADS = 256, PAGE = 25, ROWS = 20000, ROUNDS = 3 };

static char dir[256];

static double now_s(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_kb(void) {
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* ---- Bare SQLite ---- */

static const char sample[] =
    "{\"id\":\"%s\",\"workspaceId\":\"65f0c0ffee0123456789abcd\",\"key\":\"create-%s\","
    "\"name\":\"Create contact\",\"type\":\"create-data-record\",\"state\":\"READY\","
    "\"createdAt\":\"2025-11-05T08:30:12.481Z\",\"config\":{\"dataSource\":{\"key\":"
    "\"contacts\"}}}";

static void raw_exec(sqlite3 *db, const char *sql) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(db));
}

static double raw_inserts(int group) {
    char path[300], id[32], doc[600];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    double start, end;
    long n = 0;

    snprintf(path, sizeof(path), "%s/raw-%d-%ld.db", dir, group, (long)(now_s() * 1e6));
    sqlite3_open(path, &db);
    raw_exec(db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
                 "CREATE TABLE t(id TEXT PRIMARY KEY,doc TEXT NOT NULL)");
    sqlite3_prepare_v2(db, "INSERT INTO t VALUES(?,?)", -1, &stmt, NULL);
    start = now_s();
    end = start + RUN_MS / 1e3;
    while (now_s() < end) {
        raw_exec(db, "BEGIN");
        for (int i = 0; i < group; i++, n++) {
            snprintf(id, sizeof(id), "%024lx", n);
            snprintf(doc, sizeof(doc), sample, id, id);
            sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC);
            sqlite3_bind_text(stmt, 2, doc, -1, SQLITE_STATIC);
            if (sqlite3_step(stmt) != SQLITE_DONE)
                die("insert", sqlite3_errmsg(db));
            sqlite3_reset(stmt);
        }
        raw_exec(db, "COMMIT");
    }
    end = now_s();
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return (double)n / (end - start);
}

/* ---- Threads over a store ---- */

struct load;

struct worker {
    struct load *load;
    int number;
    long done;
};

struct load {
    struct store *s;
    enum collection c;
    int (*once)(struct worker *w, struct arena *a, struct status *st, long i);
    atomic_int stop;
};

static void *work(void *arg) {
    struct worker *w = arg;
    struct arena *a = arena_new(4096);
    struct status st;
    long i = 0;

    while (!atomic_load_explicit(&w->load->stop, memory_order_relaxed)) {
        st_init(&st, a);
        if (w->load->once(w, a, &st, i++) < 0)
            die("store", st.message);
        w->done++;
        arena_reset(a);
    }
    arena_free(&a);
    return NULL;
}

static double run(struct load *load, int threads) {
    static struct worker workers[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    pthread_attr_t attr;
    double start = now_s();
    struct timespec pause = {RUN_MS / 1000, RUN_MS % 1000 * 1000000L};
    long n = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    atomic_store(&load->stop, 0);
    for (int i = 0; i < threads; i++) {
        workers[i] = (struct worker){load, i, 0};
        if (pthread_create(&ids[i], &attr, work, &workers[i]) != 0)
            die("thread", "can't be made");
    }
    nanosleep(&pause, NULL);
    atomic_store(&load->stop, 1);
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        n += workers[i].done;
    }
    return (double)n / (now_s() - start);
}

static const struct value *sample_doc(struct arena *a, const char *id) {
    return value_obj(
        a, "id", value_string(a, id), "workspaceId",
        value_string(a, "65f0c0ffee0123456789abcd"), "key",
        value_stringf(a, "create-%s", id), "name", value_string(a, "Create contact"),
        "type", value_string(a, "create-data-record"), "state", value_string(a, "READY"),
        "createdAt", value_string(a, "2025-11-05T08:30:12.481Z"), "config",
        value_obj(a, "dataSource", value_obj(a, "key", value_string(a, "contacts"), NULL),
                  NULL),
        NULL);
}

static atomic_long next_id;

static const char *new_id(struct arena *a) {
    return arena_printf(a, "%024lx", atomic_fetch_add(&next_id, 1));
}

static int insert_one(struct worker *w, struct arena *a, struct status *st, long i) {
    (void)i;
    return store_insert(w->load->s, w->load->c, sample_doc(a, new_id(a)), st);
}

static const char *known_id(struct arena *a, long i) {
    return arena_printf(a, "%024lx", 0x100000000 + i * 7919 % ROWS);
}

static int get_one(struct worker *w, struct arena *a, struct status *st, long i) {
    const struct value *doc;

    return store_get(w->load->s, a, w->load->c, known_id(a, i), &doc, st) ? -1 : 0;
}

static int find_one(struct worker *w, struct arena *a, struct status *st, long i) {
    struct store_query q = {
        .where = store_and(
            a, store_eq_text(a, "workspaceId", "65f0c0ffee0123456789abcd"),
            store_eq_text(a, "key", arena_printf(a, "create-%s", known_id(a, i))), NULL)};
    const struct value *doc;

    return store_find(w->load->s, a, w->load->c, &q, &doc, st) ? -1 : 0;
}

static int list_one(struct worker *w, struct arena *a, struct status *st, long i) {
    struct store_query q = {
        .where = store_eq_text(a, "workspaceId", "65f0c0ffee0123456789abcd"),
        .sort = {{"createdAt", true}},
        .limit = PAGE};
    struct store_page page;

    (void)i;
    return store_list(w->load->s, a, w->load->c, &q, &page, st);
}

static int update_one(struct worker *w, struct arena *a, struct status *st, long i) {
    struct store_change change = {.increment =
                                      value_obj(a, "runs", value_number(a, 1), NULL)};

    return store_update(w->load->s, NULL, w->load->c, known_id(a, i + w->number * 97),
                        NULL, &change, NULL, st);
}

static int claim_one(struct worker *w, struct arena *a, struct status *st, long i) {
    struct store_query q = {
        .where = store_and(a, store_eq_text(a, "workspaceId", "65f0c0ffee0123456789abcd"),
                           store_cmp(a, STORE_ABSENT, "userId", NULL), NULL)};
    struct store_change change = {
        .set = value_obj(a, "userId", value_string(a, "worker"), NULL)};
    const struct value *doc;

    (void)i;
    return store_claim(w->load->s, a, w->load->c, &q, &change, &doc, st) < 0 ? -1 : 0;
}

static void fill(struct store *s) {
    struct arena *a = arena_new(0);
    struct status st;

    st_init(&st, a);
    for (int i = 0; i < ROWS; i += 1000) {
        struct array_builder b;

        array_begin(&b, a, 1000);
        for (int k = 0; k < 1000; k++)
            array_push(&b, sample_doc(a, arena_printf(a, "%024lx", 0x100000000 + i + k)));
        if (store_insert_many(s, C_ACTIONS, array_end(&b), &st) < 0)
            die("fill", st.message);
        arena_reset(a);
        st_init(&st, a);
    }
    arena_free(&a);
}

static void best(double *figure, double now) {
    if (now > *figure)
        *figure = now;
}

static void measure_commits(struct store *s) {
    static const int threads[] = {1, 16, 64, 256};
    double alone = 0, grouped = 0, ours[4] = {0}, indexed = 0;

    /* Interleaved, because the disk's speed drifts; the best round of each counts. */
    for (int round = 0; round < ROUNDS; round++) {
        struct load load = {s, C_LEASES, insert_one, 0};

        best(&alone, raw_inserts(1));
        best(&grouped, raw_inserts(50));
        for (int i = 0; i < 4; i++)
            best(&ours[i], run(&load, threads[i]));
        load.c = C_ACTIONS;
        best(&indexed, run(&load, 64));
    }
    printf("durable rows/s, bare SQLite, one row a commit      %9.0f\n", alone);
    printf("durable rows/s, bare SQLite, 50 rows a commit      %9.0f\n", grouped);
    for (int i = 0; i < 4; i++)
        printf("durable rows/s, store, %3d threads of one row each  %8.0f  %.2f of 50 "
               "rows a commit\n",
               threads[i], ours[i], ours[i] / grouped);
    printf("durable rows/s, store, 64 threads, 12 indexes      %9.0f\n", indexed);
}

static void measure_rest(struct store *s, struct store *cached) {
    struct load load = {s, C_ACTIONS, get_one, 0};

    printf("get by id/s, 1 thread                              %9.0f\n", run(&load, 1));
    printf("get by id/s, 16 threads                            %9.0f\n", run(&load, 16));
    load.once = find_one;
    printf("find by workspace and key/s, 1 thread              %9.0f\n", run(&load, 1));
    load.once = list_one;
    printf("list of %d/s, 1 thread                             %9.0f\n", PAGE,
           run(&load, 1));
    load.once = update_one;
    printf("update/s, 1 thread                                 %9.0f\n", run(&load, 1));
    printf("update/s, 64 threads                               %9.0f\n", run(&load, 64));
    load.once = claim_one;
    printf("claim/s, 1 thread                                  %9.0f\n", run(&load, 1));
    printf("claim/s, 16 threads                                %9.0f\n", run(&load, 16));
    if (!(load.s = cached))
        return;
    load.once = get_one;
    printf("get by id/s, cached, 1 thread                      %9.0f\n", run(&load, 1));
    load.once = find_one;
    printf("find by workspace and key/s, cached, 1 thread      %9.0f\n", run(&load, 1));
    load.once = list_one;
    printf("list of %d/s, cached, 1 thread                     %9.0f\n", PAGE,
           run(&load, 1));
}

/* What a store that other processes share costs: every call is a round trip. */
static void measure_mongo(const char *uri) {
    static const int threads[] = {1, 16, 64};
    struct store_mongo_options o = {.uri = uri};
    struct arena *a = arena_new(0);
    struct store *s;
    struct load load = {.c = C_LEASES, .once = insert_one};
    struct status st;

    st_init(&st, a);
    if (store_open_mongo(&o, &s, &st) != 0)
        die("open", st.message);
    load.s = s;
    printf("MongoDB:\n");
    for (int i = 0; i < 3; i++)
        printf("acknowledged rows/s, %3d threads of one row each   %9.0f\n", threads[i],
               run(&load, threads[i]));
    fill(s);
    measure_rest(s, NULL);
    store_close(&s);
    arena_free(&a);
}

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

int main(int argc, char **argv) {
    struct arena *a = arena_new(0);
    struct store *s, *cached;
    struct status st;
    long before = resident_kb();
    double start;

    st_init(&st, a);
    snprintf(dir, sizeof(dir), "%s/bench-store-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    start = now_s();
    if (!mkdtemp(dir) || store_open_sqlite(dir, &s, &st) != 0)
        die("open", st.message ? st.message : dir);
    printf("making a new store, ms                             %9.1f\n",
           (now_s() - start) * 1e3);
    store_close(&s);
    start = now_s();
    if (store_open_sqlite(dir, &s, &st) != 0)
        die("open", st.message);
    printf("opening it, ms                                     %9.1f\n",
           (now_s() - start) * 1e3);
    printf("memory of an open, new store, kB                   %9ld\n",
           resident_kb() - before);
    measure_commits(s);
    fill(s);
    cached = store_open_cached(s, 64 << 20);
    measure_rest(s, cached);
    printf("memory of it all at the end, kB                    %9ld\n",
           resident_kb() - before);
    store_close(&cached);
    if (argc > 2)
        measure_mongo(argv[2]);
    arena_free(&a);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
