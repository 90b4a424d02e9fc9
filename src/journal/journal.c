#include "journal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/status.h"
#include "blob/blob.h"
#include "value/value.h"

#define BATCH            2048
#define LINGER_MS        50 /* how long the first record of a batch waits for company */
#define MAX_DETAIL_BYTES ((size_t)32 * 1024 * 1024)

struct record {
    struct record *next;
    struct arena *arena; /* holds the record too */
    enum collection collection;
    const struct value *doc;
    struct bytes detail; /* encoded; len 0: none or inline */
    const char *detail_key;
};

struct journal {
    struct store *store;
    struct blob *blob;
    size_t max_records;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t filled, emptied;
    struct record *first, **last; /* guarded by: mu */
    size_t waiting;               /* guarded by: mu; also those being written */
    unsigned long lost;           /* guarded by: mu */
    bool stopping;                /* guarded by: mu */
    unsigned flushing;            /* guarded by: mu; callers of journal_flush */
    uint64_t appended, written;   /* guarded by: mu; counts since the start */
};

static struct record *record_new(enum collection c, const struct value *doc,
                                 const struct value *detail) {
    struct arena *a = arena_new(1024);
    struct record *r = arena_zalloc(a, sizeof(*r));
    struct bytes text;

    r->arena = a;
    r->collection = c;
    if (!detail) {
        r->doc = value_copy(a, doc);
        return r;
    }
    text = value_encode_arena(a, detail, VALUE_ENCODE_COMPACT);
    if (text.len <= JOURNAL_INLINE_BYTES) {
        r->doc = value_with(a, value_copy(a, doc), "detail", value_copy(a, detail));
        return r;
    }
    r->detail_key = arena_printf(a, "logs/%s/%s.json", store_collection_name(c),
                                 value_get_string(doc, "id", "none"));
    r->detail = text;
    r->doc =
        value_with(a, value_copy(a, doc), "detailKey", value_string(a, r->detail_key));
    return r;
}

static void record_free(struct record *r) {
    struct arena *a = r->arena;

    arena_free(&a);
}

/* ---- the writer ---- */

static size_t write_records(struct journal *j, struct arena *a, enum collection c,
                            const struct array_builder *docs, struct status *st) {
    struct array_builder copy = *docs;
    const struct value *list = array_end(&copy);
    size_t lost = 0;

    if (list->len == 0 || store_insert_many(j->store, c, list, st) == 0)
        return 0;
    /* One bad record must not take the batch with it. */
    for (VALUE_EACH_ITEM(doc, list)) {
        st_init(st, a);
        if (store_insert(j->store, c, doc, st) < 0 &&
            !(st->key && strcmp(st->key, "already_exists") == 0))
            lost++;
    }
    return lost;
}

static size_t write_batch(struct journal *j, struct record *batch) {
    struct array_builder docs[COLLECTION_COUNT];
    struct arena *a = arena_new(8192);
    bool used[COLLECTION_COUNT] = {false};
    struct status st;
    size_t lost = 0;

    st_init(&st, a);
    for (struct record *r = batch; r; r = r->next) {
        if (!used[r->collection]) {
            array_begin(&docs[r->collection], a, 16);
            used[r->collection] = true;
        }
        if (r->detail.len && blob_put(j->blob, BLOB_TMP, r->detail_key, r->detail,
                                      "application/json", &st) < 0)
            st_clear(&st); /* the record without its detail is better than nothing */
        array_push(&docs[r->collection], r->doc);
    }
    for (int c = 0; c < COLLECTION_COUNT; c++)
        if (used[c])
            lost += write_records(j, a, (enum collection)c, &docs[c], &st);
    if (lost)
        log_warn(NULL, "log records could not be written", "count=%zu error=%s", lost,
                 st.message ? st.message : "");
    arena_free(&a);
    return lost;
}

/* A commit costs the disk the same for one record as for hundreds. */
static void wait_for_company(struct journal *j) {
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LINGER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!j->stopping && !j->flushing && j->waiting < BATCH &&
           pthread_cond_timedwait(&j->filled, &j->mu, &until) == 0)
        ;
}

/* Takes up to BATCH records; NULL when stopping and nothing waits. */
static struct record *take_batch(struct journal *j, size_t *ret_count) {
    struct record *batch, *r;

    pthread_mutex_lock(&j->mu);
    while (!j->first && !j->stopping)
        pthread_cond_wait(&j->filled, &j->mu);
    if (j->first)
        wait_for_company(j);
    batch = r = j->first;
    *ret_count = r ? 1 : 0;
    while (r && r->next && *ret_count < BATCH) {
        r = r->next;
        ++*ret_count;
    }
    if (r) {
        j->first = r->next;
        if (!j->first)
            j->last = &j->first;
        r->next = NULL;
    }
    pthread_mutex_unlock(&j->mu);
    return batch;
}

static void *writer(void *ctx) {
    struct journal *j = ctx;
    struct record *batch, *next;
    size_t count, lost;

    while ((batch = take_batch(j, &count))) {
        lost = write_batch(j, batch);
        for (; batch; batch = next) {
            next = batch->next;
            record_free(batch);
        }
        pthread_mutex_lock(&j->mu);
        j->waiting -= count;
        j->written += count;
        j->lost += lost;
        pthread_cond_broadcast(&j->emptied);
        pthread_mutex_unlock(&j->mu);
    }
    return NULL;
}

struct journal *journal_new(struct store *store, struct blob *blob, size_t max_records) {
    struct journal *j = calloc(1, sizeof(*j));
    pthread_condattr_t attr;

    if (!j)
        abort();
    j->store = store;
    j->blob = blob;
    j->max_records = max_records ? max_records : 100000;
    j->last = &j->first;
    pthread_mutex_init(&j->mu, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&j->emptied, NULL);
    if (pthread_create(&j->thread, NULL, writer, j) != 0)
        abort();
    return j;
}

void journal_free(struct journal **jp) {
    struct journal *j = *jp;

    if (!j)
        return;
    pthread_mutex_lock(&j->mu);
    j->stopping = true;
    pthread_cond_broadcast(&j->filled);
    pthread_mutex_unlock(&j->mu);
    pthread_join(j->thread, NULL);
    pthread_cond_destroy(&j->filled);
    pthread_cond_destroy(&j->emptied);
    pthread_mutex_destroy(&j->mu);
    free(j);
    *jp = NULL;
}

void journal_append(struct journal *j, enum collection c, const struct value *record,
                    const struct value *detail) {
    struct record *r = record_new(c, record, detail);

    pthread_mutex_lock(&j->mu);
    while (j->waiting >= j->max_records)
        pthread_cond_wait(&j->emptied, &j->mu);
    *j->last = r;
    j->last = &r->next;
    j->appended++;
    j->waiting++;
    if (j->first == r || j->waiting == BATCH)
        pthread_cond_signal(&j->filled);
    pthread_mutex_unlock(&j->mu);
}

void journal_flush(struct journal *j) {
    uint64_t all;

    pthread_mutex_lock(&j->mu);
    j->flushing++;
    all = j->appended;
    pthread_cond_signal(&j->filled);
    while (j->written < all)
        pthread_cond_wait(&j->emptied, &j->mu);
    j->flushing--;
    pthread_mutex_unlock(&j->mu);
}

unsigned long journal_lost(const struct journal *j) {
    struct journal *m = (struct journal *)j;
    unsigned long lost;

    pthread_mutex_lock(&m->mu);
    lost = m->lost;
    pthread_mutex_unlock(&m->mu);
    return lost;
}

int journal_detail(struct blob *blob, struct arena *a, const struct value *record,
                   const struct value **ret_detail, struct status *st) {
    const char *key = value_get_string(record, "detailKey", NULL);
    struct bytes body;
    int rc;

    *ret_detail = value_get(record, "detail");
    if (!key)
        return 0;
    rc = blob_get(blob, a, BLOB_TMP, key, MAX_DETAIL_BYTES, &body, NULL, st);
    if (rc == 1) {
        *ret_detail = &value_undefined;
        return 0;
    }
    return rc < 0 ? -1 : value_parse(a, body.data, body.len, NULL, ret_detail, st);
}
