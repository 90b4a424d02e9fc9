/*
 * external_priv.h - shared by the files of external/.
 */
#ifndef EXTERNAL_EXTERNAL_PRIV_H
#define EXTERNAL_EXTERNAL_PRIV_H

#include "external.h"
#include "http/http_client.h"

/* A request ready to be sent. */
struct external_wire {
    const char *method, *url;
    struct http_header *headers;
    size_t headers_len, headers_cap;
    struct bytes body;
    const struct value *body_value; /* as it was before encoding, for logs */
    const char *proxy_uri;
};

/* Sets a header; a present one of that name is replaced. -1 for characters that can't be
 * sent. */
int external_set_header(struct arena *a, struct external_wire *w, const char *name,
                        const char *value, struct status *st);

/* Sends it and gives {data, status, statusCode, headers}; logs the call. */
int external_send(struct external_session *s, const struct external_wire *w,
                  const struct value **ret_response, struct status *st);

/*
 * 0 success (ret_data: what a handler picked, or NULL), -1 a `connection` error.
 * handlers: responseHandlers of the client, or undefined.
 */
int external_interpret(struct external_session *s, const struct external_wire *w,
                       const struct value *handlers, const struct value *response,
                       bool allow_error_status, const struct value **ret_data,
                       struct status *st);

/* What every mapping sees: credentials, parameters, and the caller's arguments on top. */
const struct value *external_variables(struct external_session *s,
                                       const struct value *args);

/* Builds a value with formulas, with the session's look-ups. */
int external_build(struct external_session *s, const struct value *v,
                   const struct value *variables, const struct value **ret,
                   struct status *st);

#endif
