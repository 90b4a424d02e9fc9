/*
 * auth_fields.h - bodies against a table: which members a request may write and what they
 * may hold. Members without a row are passed over, as clients send back whole documents.
 */
#ifndef AUTH_AUTH_FIELDS_H
#define AUTH_AUTH_FIELDS_H

#include <stddef.h>

struct object_builder;
struct status;
struct value;

enum auth_field_kind {
    AUTH_TEXT, /* 1 to max bytes, no U+0000 */
    AUTH_URL,  /* absolute http or https, or "" */
    AUTH_BOOL,
    AUTH_COUNT, /* a number from 0 */
    AUTH_OBJECT,
    AUTH_TEXTS, /* an array of texts */
    AUTH_ANY,
};

enum { AUTH_NULLABLE = 1 /* null is kept; else it counts as absent */ };

struct auth_field {
    const char *name;
    enum auth_field_kind kind;
    size_t max; /* AUTH_TEXT, AUTH_URL: bytes; 0: 1000 */
    unsigned flags;
    const char *words; /* AUTH_TEXT: "a|b", the allowed ones; or NULL */
};

/* Sets what the body writes in b. The table ends with a row without a name. -1
 * bad_request. */
int auth_fields_read(const struct value *body, const struct auth_field *fields,
                     struct object_builder *b, struct status *st);
/* A text that the body must have. */
int auth_fields_text(const struct value *body, const char *name, size_t max,
                     const char **ret_text, struct status *st);

#endif
