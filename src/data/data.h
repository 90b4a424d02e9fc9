/*
 * data.h - data links: pairs of an external and a host application's record.
 */
#ifndef DATA_DATA_H
#define DATA_DATA_H

#include <stdbool.h>

struct arena;
struct deps;
struct http_router;
struct model_view;
struct status;
struct value;

/*
 * Links two records in a table instance; "both" makes one link per direction. A record
 * has one link per direction: linking it again overwrites. direction: "import", "export"
 * or "both". ret_link: the link, of the first direction for "both".
 */
int data_link_create(const struct deps *deps, struct arena *a, const struct value *table,
                     const char *external_id, const char *app_id, const char *direction,
                     const struct value **ret_link, struct status *st);
/*
 * The link of what is given (either id may be NULL) in a direction (NULL: any). An import
 * link is found by its external id, an export link by the application's. 1: none.
 */
int data_link_find(const struct deps *deps, struct arena *a, const struct value *table,
                   const char *external_id, const char *app_id, const char *direction,
                   const struct value **ret_link, struct status *st);
/* A link as clients see it. */
const struct value *data_link_shown(struct arena *a, const struct value *link);
/* "import", "export" or "both"? */
bool data_link_is_direction(const char *s);
/* Removes the links of the pair for good, in the direction (NULL or "both": all). */
int data_link_delete(const struct deps *deps, struct arena *a, const struct value *table,
                     const char *external_id, const char *app_id, const char *direction,
                     struct status *st);

/* Whose links a formula asks for: the ctx of the two functions below. */
struct data_links {
    struct model_view *view;
    const char *connection_id;
    const char *instance_key; /* or NULL */
};
/*
 * Callbacks of struct formula_lookups: the host application's record of an external one,
 * and the other way round; undefined when they are not linked. Results live in the view's
 * arena.
 */
int data_link_find_app(void *ctx, struct arena *a, const struct value *table_key,
                       const struct value *record_id, const struct value **ret_id,
                       struct status *st);
int data_link_find_external(void *ctx, struct arena *a, const struct value *table_key,
                            const struct value *record_id, const struct value **ret_id,
                            struct status *st);

void data_routes(struct http_router *r);

#endif
