/*
 * http_page.h - lists: the parameters that every one of them takes, and the answer
 * {items, cursor?}.
 */
#ifndef HTTP_HTTP_PAGE_H
#define HTTP_HTTP_PAGE_H

#include <stdbool.h>
#include <stdint.h>

struct reply;
struct request;
struct status;
struct value;

enum { HTTP_PAGE_LIMIT_DEFAULT = 100, HTTP_PAGE_LIMIT_MAX = 1000 };

struct http_page {
    int64_t limit;      /* 1 to 1000 */
    const char *cursor; /* NULL: from the start, which clients also call "0" */
    const char *search; /* free text; or NULL */
    bool include_archived;
};

/* -1 bad_request when limit is not a number from 1 to 1000. */
int http_page_read(const struct request *rq, struct http_page *ret_page,
                   struct status *st);
/*
 * 200 with one page. cursor: where the next page starts, given whenever this page is
 * full, also when nothing follows; NULL on the last page.
 */
int http_page_reply(struct reply *rp, const struct value *items, const char *cursor);

#endif
