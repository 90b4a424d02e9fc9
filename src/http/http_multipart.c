/*
 * http_multipart.c - parts of a multipart/form-data body (RFC 7578), found in place.
 *
 * The whole body is in memory already (the server bounds it), so a part is a view: no
 * copy, no state between calls. Delimiters are searched with memmem, headers are bounded.
 */
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/status.h"
#include "http.h"
#include "http_priv.h"

enum { MAX_PARTS = 1000, MAX_PART_HEADERS = 16 * 1024, MAX_BOUNDARY = 200 };

/*
 * A parameter of a header like `form-data; name="a b"; filename="x\"y"`, unquoted; NULL
 * when absent. Browsers write a quote as %22, others as \": only the latter is undone.
 */
static const char *parameter(struct arena *a, struct bytes header, const char *name) {
    const char *p = memchr(header.data, ';', header.len);
    const char *end = header.data + header.len;
    size_t name_len = strlen(name);

    while (p && p < end) {
        const char *key;
        char *out = NULL;
        size_t n = 0;
        bool quoted;

        while (p < end && strchr("; \t", *p))
            p++;
        for (key = p; p < end && *p != '=' && *p != ';'; p++)
            ;
        if (p == end || *p == ';')
            continue;
        if ((size_t)(p - key) == name_len && strncasecmp(key, name, name_len) == 0)
            out = arena_alloc(a, (size_t)(end - p));
        p++;
        quoted = p < end && *p == '"';
        for (p += quoted; p < end && *p != '"' && (quoted || !strchr("; \t", *p)); p++) {
            if (quoted && *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
                p++;
            if (out)
                out[n++] = *p;
        }
        if (out) {
            out[n] = '\0';
            return http_clean_text(a, out, n);
        }
        p = memchr(p, ';', (size_t)(end - p));
    }
    return NULL;
}

/* The value of one header in a block of lines that each end with CRLF. */
static struct bytes part_header(struct bytes block, const char *name) {
    const char *p = block.data, *end = block.data + block.len;
    size_t name_len = strlen(name);

    while (p < end) {
        const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        size_t len = (size_t)((eol ? eol : end) - p);

        if (len > name_len && p[name_len] == ':' && strncasecmp(p, name, name_len) == 0) {
            p += name_len + 1;
            len -= name_len + 1;
            while (len > 0 && (*p == ' ' || *p == '\t'))
                p++, len--;
            return (struct bytes){p, len};
        }
        p += len + (eol ? 2 : 0);
    }
    return (struct bytes){NULL, 0};
}

static void fill_part(struct arena *a, struct bytes headers, struct bytes body,
                      struct request_part *part) {
    struct bytes disposition = part_header(headers, "Content-Disposition");
    struct bytes type = part_header(headers, "Content-Type");
    const char *encoded = NULL;

    *part = (struct request_part){.body = body};
    if (disposition.data) {
        part->name = parameter(a, disposition, "name");
        part->filename = parameter(a, disposition, "filename");
        encoded = parameter(a, disposition, "filename*");
    }
    if (encoded && strncasecmp(encoded, "utf-8''", 7) == 0)
        part->filename = http_decode(a, encoded + 7, strlen(encoded + 7), false, NULL);
    if (type.data)
        part->content_type = arena_memdup(a, type.data, type.len);
}

static int broken(struct status *st, const char *what) {
    return st_fail(st, ST_BAD_REQUEST, NULL, "The multipart body is broken: %s", what);
}

/* At the text behind a delimiter: 1 last delimiter, 0 a part follows, -1 neither. */
static int after_delimiter(const char **p, const char *end) {
    if (end - *p >= 2 && memcmp(*p, "--", 2) == 0)
        return 1;
    while (*p < end && (**p == ' ' || **p == '\t'))
        ++*p;
    if (end - *p < 2 || memcmp(*p, "\r\n", 2) != 0)
        return -1;
    *p += 2;
    return 0;
}

static int find_part(struct request *rq, const char *boundary, const char *name,
                     struct request_part *ret_part, struct status *st) {
    const char *p = rq->body.data, *end = p + rq->body.len;
    const char *delimiter = arena_printf(rq->arena, "\r\n--%s", boundary);
    size_t delimiter_len = strlen(delimiter);

    /* The first delimiter may stand at the very start, without its line break. */
    if (rq->body.len >= delimiter_len - 2 &&
        memcmp(p, delimiter + 2, delimiter_len - 2) == 0)
        p += delimiter_len - 2;
    else if ((p = memmem(p, rq->body.len, delimiter, delimiter_len)))
        p += delimiter_len;
    else
        return broken(st, "its boundary does not occur");

    for (int parts = 0; parts < MAX_PARTS; parts++) {
        struct bytes headers, body;
        struct request_part part;
        const char *blank, *next;
        int last = after_delimiter(&p, end);

        if (last)
            return last > 0 ? 1 : broken(st, "a boundary line does not end");
        if (end - p >= 2 && memcmp(p, "\r\n", 2) == 0)
            blank = p - 2; /* no headers */
        else
            blank = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
        if (!blank || blank - p > MAX_PART_HEADERS)
            return broken(st, "the headers of a part do not end");
        headers = (struct bytes){p, blank > p ? (size_t)(blank - p) : 0};
        body.data = blank + 4;
        /* The blank line's break may be the delimiter's own when the body is empty. */
        next = memmem(blank + 2, (size_t)(end - blank - 2), delimiter, delimiter_len);
        if (!next)
            return broken(st, "a part does not end");
        body.len = next > body.data ? (size_t)(next - body.data) : 0;
        fill_part(rq->arena, headers, body, &part);
        if (name ? part.name && strcmp(part.name, name) == 0 : part.filename != NULL) {
            *ret_part = part;
            return 0;
        }
        p = next + delimiter_len;
    }
    return broken(st, "too many parts");
}

int request_part(struct request *rq, const char *name, struct request_part *ret_part,
                 struct status *st) {
    const char *type = request_header(rq, "Content-Type"), *boundary;

    if (!http_media_type_is(type, "multipart/form-data"))
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "The request body must be multipart/form-data");
    boundary = parameter(rq->arena, (struct bytes){type, strlen(type)}, "boundary");
    if (!boundary || !*boundary || strlen(boundary) > MAX_BOUNDARY)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "The Content-Type header has no usable boundary");
    if (rq->body.len == 0)
        return 1;
    return find_part(rq, boundary, name, ret_part, st);
}
