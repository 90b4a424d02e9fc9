/*
 * http_openapi.c - the rows as an OpenAPI 3.0 document.
 *
 * Rows whose patterns differ only in the names of their parameters are one path there;
 * the first one's names stand. Status codes are given as 2XX and default, because rows do
 * not say whether they answer 200, 201 or 204 and clients do not care.
 */
#include "http_openapi.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "http_server.h"
#include "value/value.h"

struct document_writer {
    struct arena *arena;
    const struct route *const *rows;
    size_t rows_len;
    struct object_builder ids;     /* operationIds given so far */
    struct object_builder schemas; /* components */
};

static const char error_schema[] =
    "{\"type\":\"object\",\"required\":[\"message\"],\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"key\":{\"type\":\"string\"},"
    "\"message\":{\"type\":\"string\"},\"data\":{},\"stack\":{},"
    "\"causedByError\":{\"$ref\":\"#/components/schemas/ErrorData\"},"
    "\"logs\":{\"type\":\"array\",\"items\":{}}}}";

static const struct value *text(struct document_writer *w, const char *s) {
    return value_string(w->arena, s);
}

static const struct value *type_of(struct document_writer *w, const char *type) {
    return value_obj(w->arena, "type", text(w, type), NULL);
}

/* ---- patterns ---- */

/* The same for patterns that differ in names only. */
static const char *shape_of(struct arena *a, const char *pattern) {
    char *out = arena_strdup(a, pattern), *q = out;

    for (const char *p = pattern; *p; p++) {
        *q++ = *p;
        if (*p == '{')
            p += strcspn(p, "}") - 1;
    }
    *q = '\0';
    return out;
}

/* "{path*}" is "{path}" outside. */
static const char *public_path(struct arena *a, const char *pattern) {
    char *out = arena_strdup(a, pattern), *star = strstr(out, "*}");

    if (star)
        memmove(star, star + 1, strlen(star));
    return out;
}

/* "getFlowsById" for GET /flows/{id}; unique within the document. */
static const char *operation_id(struct document_writer *w, const char *method,
                                const char *path) {
    struct buf b = BUF_INIT;
    const char *id;
    bool upper = false;

    for (const char *p = method; *p; p++)
        buf_addc(&b, (char)tolower(*p));
    for (const char *p = path; *p; p++) {
        if (*p == '{')
            buf_adds(&b, "By");
        if (!isalnum((unsigned char)*p)) {
            upper = true;
            continue;
        }
        buf_addc(&b, upper ? (char)toupper(*p) : *p);
        upper = false;
    }
    id = buf_to_arena(&b, w->arena).data;
    buf_fini(&b);
    for (int n = 2; object_builder_get(&w->ids, id, strlen(id)); n++)
        id = arena_printf(w->arena, "%s%d", id, n);
    object_set_bool(&w->ids, id, true);
    return id;
}

/* ---- parts of an operation ---- */

static const struct value *parameter(struct document_writer *w, const char *name,
                                     const char *in, const char *type) {
    return value_obj(w->arena, "name", text(w, name), "in", text(w, in), "required",
                     value_bool(strcmp(in, "path") == 0), "schema", type_of(w, type),
                     NULL);
}

static void add_path_parameters(struct document_writer *w, const char *path,
                                struct array_builder *list) {
    for (const char *p = path; (p = strchr(p, '{')); p++) {
        size_t len = strcspn(p + 1, "}");

        array_push(list,
                   parameter(w, arena_memdup(w->arena, p + 1, len), "path", "string"));
    }
}

static void add_query_parameters(struct document_writer *w, const char *query,
                                 struct array_builder *list) {
    char *rest = arena_strdup(w->arena, query ? query : ""), *word;

    while ((word = strsep(&rest, ", "))) {
        char *type = strchr(word, ':');

        if (type)
            *type++ = '\0';
        if (*word)
            array_push(list, parameter(w, word, "query", type ? type : "string"));
    }
}

/* ---- schemas ---- */

/* "data-source" is called DataSource among the components. */
static const char *component_name(struct arena *a, const char *name, size_t len) {
    char *out = arena_memdup(a, name, len), *q = out;
    bool upper = true;

    for (const char *p = out; *p; p++) {
        if (*p == '-')
            upper = true;
        else
            *q++ = upper ? (char)toupper(*p) : *p, upper = false;
    }
    *q = '\0';
    return out;
}

static const struct value *array_of(struct document_writer *w,
                                    const struct value *items) {
    return value_obj(w->arena, "type", text(w, "array"), "items", items, NULL);
}

/* {items, cursor?}: the answer of every list. */
static const struct value *page_of(struct document_writer *w, const struct value *items) {
    struct array_builder required;

    array_begin(&required, w->arena, 1);
    array_push(&required, text(w, "items"));
    return value_obj(w->arena, "type", text(w, "object"), "required",
                     array_end(&required), "properties",
                     value_obj(w->arena, "items", array_of(w, items), "cursor",
                               type_of(w, "string"), NULL),
                     NULL);
}

/* Makes sure that the component exists. */
static const struct value *schema_ref(struct document_writer *w, const char *name) {
    size_t len = strlen(name);
    bool list = len > 2 && strcmp(name + len - 2, "[]") == 0;
    bool page = strncmp(name, "Page<", 5) == 0 && name[len - 1] == '>';
    const struct value *ref;

    name = page ? component_name(w->arena, name + 5, len - 6)
                : component_name(w->arena, name, list ? len - 2 : len);
    if (!object_builder_get(&w->schemas, name, strlen(name)))
        object_set(&w->schemas, name, type_of(w, "object"));
    ref = value_obj(w->arena, "$ref",
                    value_stringf(w->arena, "#/components/schemas/%s", name), NULL);
    return list ? array_of(w, ref) : page ? page_of(w, ref) : ref;
}

static const struct value *enum_of(struct document_writer *w, char *words) {
    struct array_builder list;
    char *word;

    array_begin(&list, w->arena, 4);
    while ((word = strsep(&words, "|")))
        array_push(&list, text(w, word));
    return value_obj(w->arena, "type", text(w, "string"), "enum", array_end(&list), NULL);
}

/* The type after the colon of a compact schema. */
static const struct value *field_type(struct document_writer *w, char *type) {
    static const char *const plain[] = {"string", "boolean", "integer", "number",
                                        "object"};

    if (!type || strcmp(type, "any") == 0)
        return &value_empty_object;
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        if (strcmp(type, plain[i]) == 0)
            return type_of(w, type);
    }
    if (strcmp(type, "any[]") == 0)
        return array_of(w, &value_empty_object);
    if (strcmp(type, "string[]") == 0)
        return array_of(w, type_of(w, "string"));
    return strchr(type, '|') ? enum_of(w, type) : schema_ref(w, type);
}

/* "id*:string, meta:object" as a schema. */
static const struct value *compact_schema(struct document_writer *w, const char *fields) {
    char *rest = arena_strdup(w->arena, fields), *word;
    struct object_builder properties;
    struct array_builder required;

    object_begin(&properties, w->arena, 16);
    array_begin(&required, w->arena, 4);
    while ((word = strsep(&rest, ", "))) {
        char *type = strchr(word, ':'), *star;

        if (type)
            *type++ = '\0';
        if ((star = strchr(word, '*'))) {
            *star = '\0';
            array_push(&required, text(w, word));
        }
        if (*word)
            object_set(&properties, word, field_type(w, type));
    }
    return value_obj(w->arena, "type", text(w, "object"), "required",
                     required.len ? array_end(&required) : NULL, "properties",
                     object_end(&properties), NULL);
}

static void add_schema(struct document_writer *w, const struct http_schema *schema) {
    const struct value *v = schema->value;
    const char *name = component_name(w->arena, schema->name, strlen(schema->name));
    struct status st;
    int rc;

    if (!v && schema->text[0] != '{') {
        v = compact_schema(w, schema->text);
    } else if (!v) {
        st_init(&st, w->arena);
        rc = value_parse(w->arena, schema->text, strlen(schema->text), NULL, &v, &st);
        assert(rc == 0);
    }
    object_set(&w->schemas, name, v);
}

static const struct value *content(struct document_writer *w, const char *type,
                                   const struct value *schema) {
    return value_obj(w->arena, type, value_obj(w->arena, "schema", schema, NULL), NULL);
}

static const struct value *request_body(struct document_writer *w,
                                        const struct route *row) {
    const struct value *inner;

    if (row->flags & ROUTE_RAW_BODY)
        inner = content(w, "*/*",
                        value_obj(w->arena, "type", text(w, "string"), "format",
                                  text(w, "binary"), NULL));
    else if (row->body)
        inner = content(w, "application/json", schema_ref(w, row->body));
    else
        return NULL;
    return value_obj(w->arena, "content", inner, NULL);
}

static const struct value *responses(struct document_writer *w, const struct route *row) {
    const struct value *good = value_obj(
        w->arena, "description", text(w, "Done"), "content",
        row->response ? content(w, "application/json", schema_ref(w, row->response))
                      : NULL,
        NULL);
    const struct value *bad =
        value_obj(w->arena, "description", text(w, "Failed"), "content",
                  content(w, "application/json", schema_ref(w, "ErrorData")), NULL);

    return value_obj(w->arena, "2XX", good, "default", bad, NULL);
}

static const struct value *security(struct document_writer *w, const struct route *row) {
    struct array_builder list, none;

    if (row->access == ACCESS_NONE)
        return &value_empty_array;
    array_begin(&none, w->arena, 0);
    array_begin(&list, w->arena, 1);
    array_push(&list, value_obj(w->arena, "bearer", array_end(&none), NULL));
    return array_end(&list);
}

static const struct value *operation(struct document_writer *w, const char *method,
                                     const char *path, const struct route *row) {
    static const char *const access[] = {"nobody in particular", "a customer",
                                         "an administrator of the workspace",
                                         "a platform user"};
    struct array_builder parameters, tags;

    array_begin(&tags, w->arena, 1);
    array_push(&tags, value_string_len(w->arena, path + 1, strcspn(path + 1, "/")));
    array_begin(&parameters, w->arena, 0);
    add_path_parameters(w, path, &parameters);
    add_query_parameters(w, row->query, &parameters);
    return value_obj(
        w->arena, "operationId", text(w, operation_id(w, method, path)), "summary",
        row->summary ? text(w, row->summary) : NULL, "description",
        value_stringf(w->arena, "For %s.", access[row->access]), "tags", array_end(&tags),
        "parameters", array_end(&parameters), "requestBody", request_body(w, row),
        "responses", responses(w, row), "security", security(w, row), NULL);
}

/* ---- the document ---- */

static void add_operations(struct document_writer *w, struct object_builder *item,
                           const char *path, const struct route *row) {
    static const char *const any[] = {"get", "post", "put", "patch", "delete"};
    const char *method = http_method_name(row->method);

    if (row->flags & ROUTE_UNDOCUMENTED)
        return;
    if (row->method == HTTP_ANY) {
        for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++)
            object_set(item, any[i], operation(w, any[i], path, row));
    } else {
        char *name = arena_strdup(w->arena, method);

        for (char *p = name; *p; p++)
            *p = (char)tolower(*p);
        object_set(item, name, operation(w, name, path, row));
    }
}

static const struct value *paths(struct document_writer *w) {
    const char **shapes = arena_alloc(w->arena, (w->rows_len + 1) * sizeof(*shapes));
    struct object_builder all;

    for (size_t i = 0; i < w->rows_len; i++)
        shapes[i] = shape_of(w->arena, w->rows[i]->pattern);
    object_begin(&all, w->arena, w->rows_len);
    for (size_t i = 0; i < w->rows_len; i++) {
        const char *path = public_path(w->arena, w->rows[i]->pattern);
        struct object_builder item;

        if (!shapes[i])
            continue;
        object_begin(&item, w->arena, 4);
        for (size_t k = i; k < w->rows_len; k++) {
            if (!shapes[k] || strcmp(shapes[k], shapes[i]) != 0)
                continue;
            add_operations(w, &item, path, w->rows[k]);
            if (k > i)
                shapes[k] = NULL;
        }
        if (item.len > 0)
            object_set(&all, path, object_end(&item));
    }
    return object_end(&all);
}

const struct value *http_openapi(struct arena *a, const struct http_router *r,
                                 const struct http_schema *schemas, size_t n,
                                 const char *title, const char *version,
                                 const char *base_uri) {
    struct document_writer w = {.arena = a};
    const struct value *all, *bearer;
    struct array_builder servers;

    w.rows_len = http_router_rows(r, &w.rows);
    object_begin(&w.ids, a, w.rows_len);
    object_begin(&w.schemas, a, n + 1);
    add_schema(&w, &(struct http_schema){"ErrorData", error_schema, NULL});
    for (size_t i = 0; i < n; i++)
        add_schema(&w, &schemas[i]);
    all = paths(&w);
    array_begin(&servers, a, 1);
    if (base_uri)
        array_push(&servers, value_obj(a, "url", value_string(a, base_uri), NULL));
    bearer =
        value_obj(a, "type", value_string(a, "http"), "scheme", value_string(a, "bearer"),
                  "bearerFormat", value_string(a, "JWT"), NULL);
    return value_obj(a, "openapi", value_string(a, "3.0.3"), "info",
                     value_obj(a, "title", value_string(a, title), "version",
                               value_string(a, version), NULL),
                     "servers", base_uri ? array_end(&servers) : NULL, "paths", all,
                     "components",
                     value_obj(a, "securitySchemes", value_obj(a, "bearer", bearer, NULL),
                               "schemas", object_end(&w.schemas), NULL),
                     NULL);
}

void http_print_routes(const struct http_router *r, FILE *out) {
    const struct route *const *rows;
    size_t n = http_router_rows(r, &rows);

    for (size_t i = 0; i < n; i++) {
        const char *star = strstr(rows[i]->pattern, "*}");
        int len = star ? (int)(star - rows[i]->pattern) : (int)strlen(rows[i]->pattern);

        fprintf(out, "%s %.*s%s\n",
                rows[i]->method == HTTP_ANY ? "ANY" : http_method_name(rows[i]->method),
                len, rows[i]->pattern, star ? "}" : "");
    }
}
