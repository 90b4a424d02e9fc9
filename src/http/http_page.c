#include "http_page.h"

#include <string.h>

#include "http.h"
#include "value/value.h"

int http_page_read(const struct request *rq, struct http_page *ret_page,
                   struct status *st) {
    struct http_page p = {.cursor = request_query(rq, "cursor"),
                          .search = request_query(rq, "search"),
                          .include_archived =
                              request_query_bool(rq, "includeArchived", false)};

    if (request_query_int(rq, "limit", 1, HTTP_PAGE_LIMIT_MAX, HTTP_PAGE_LIMIT_DEFAULT,
                          &p.limit, st) < 0)
        return -1;
    if (p.cursor && !strcmp(p.cursor, "0"))
        p.cursor = NULL;
    *ret_page = p;
    return 0;
}

int http_page_reply(struct reply *rp, const struct value *items, const char *cursor) {
    return reply_json(rp, 200,
                      value_obj(rp->arena, "items", items, "cursor",
                                cursor ? value_string(rp->arena, cursor) : NULL, NULL));
}
