/*
 * model_rows.h - lists of rows that are no elements: connections, runs, logs. A list
 * begins with what the caller may see, is narrowed by the query, and is served by pages.
 */
#ifndef MODEL_MODEL_ROWS_H
#define MODEL_MODEL_ROWS_H

#include <stdbool.h>

#include "http/http_page.h"
#include "store/store.h"

struct reply;
struct request;
struct status;
struct value;

struct model_rows {
    struct request *rq;
    const struct store_filter *where;
    struct http_page page;
    const char *sort; /* member; "createdAt" unless set */
};

/* A query field and the member that it names. */
struct model_rows_field {
    const char *query, *field;
};

/*
 * Rows of the caller's workspace; of a customer's token the customer's own, for others
 * those of the customer that `tenantId` or `userId` names. Reads the page's parameters.
 */
int model_rows_begin(struct request *rq, struct model_rows *ret, struct status *st);
void model_rows_where(struct model_rows *r, const struct store_filter *f);
/* Members equal what the query has of the fields; a {NULL} ends the list. */
void model_rows_match(struct model_rows *r, const struct model_rows_field *fields);
/* The same for true and false; inverted: the member says the opposite. */
void model_rows_match_bool(struct model_rows *r, const char *query, const char *field,
                           bool inverted);
/* createdAt between `from` and `to` (older: startDatetime and endDatetime). */
void model_rows_between(struct model_rows *r);
/* The page of rows: the newest or highest first, the other way round with sortOrder=asc.
 */
int model_rows_load(struct model_rows *r, enum collection c, struct store_page *ret,
                    struct status *st);
/* Answers with that page; `hidden` members stay out (NULL-terminated). */
int model_rows_reply(struct model_rows *r, enum collection c, const char *const *hidden,
                     struct reply *rp, struct status *st);
/*
 * The row with the id that is the path's first parameter, if the caller may see it;
 * bad_request/not_found "<title> not found".
 */
int model_rows_find(struct request *rq, enum collection c, const char *title,
                    const struct value **ret, struct status *st);

#endif
