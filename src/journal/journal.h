/*
 * journal.h - log records on their way to the store: many threads append, one writes.
 *
 * Runs and calls to apps each leave a record for people to read. Writing each by itself
 * would make every action wait for the disk; here a record is handed over and written in
 * a batch within 50 ms. The price: records younger than that are lost when the process is
 * killed. A record never replaces state: what must survive goes to the
 * store directly.
 *
 * Details (requests and responses) stand in the record up to INLINE bytes, larger ones in
 * an object of the temporary bucket.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stddef.h>

#include "store/store.h"

struct arena;
struct blob;
struct journal;
struct status;
struct value;

enum { JOURNAL_INLINE_BYTES = 16 * 1024 };

/* Starts the writer. store and blob are borrowed for life. max_records waiting (0:
 * 100,000). */
struct journal *journal_new(struct store *store, struct blob *blob, size_t max_records);
/* Writes what waits, then stops. */
void journal_free(struct journal **j);

/*
 * Hands a record over; both values are copied. detail may be NULL. When too many records
 * wait (the store is slower than the callers), the caller waits with them.
 */
void journal_append(struct journal *j, enum collection c, const struct value *record,
                    const struct value *detail);
/* Blocks until everything appended before is written: for tests and for reading one's
 * own. */
void journal_flush(struct journal *j);
/* Records that could not be written, since the start. */
unsigned long journal_lost(const struct journal *j);

/* The detail of a stored record: undefined when it has none, or when it expired. */
int journal_detail(struct blob *blob, struct arena *a, const struct value *record,
                   const struct value **ret_detail, struct status *st);

#endif
