/*
 * api_description.c - one reader per kind of description, one shape of operation out.
 *
 * References ("#/components/schemas/X") are expanded into the schemas, because a
 * connector's operation must stand alone. Schemas refer to themselves and to each other
 * in real descriptions, so expansion stops where a name repeats on its own path, at
 * MAX_DEPTH, and when the whole grew past MAX_BYTES; what is cut becomes a schema without
 * restrictions.
 */
#include "api_description.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"

#define MAX_DEPTH      12
#define MAX_BYTES      ((size_t)64 * 1024 * 1024)
#define MAX_OPERATIONS 5000

struct context {
    struct arena *arena;
    struct status *st;
    const struct value *doc;
    struct object_builder operations;
    struct array_builder warnings;
    bool swagger2;
};

static void warn(struct context *c, const char *text) {
    array_push(&c->warnings, value_string(c->arena, text));
}

/* ---- references ---- */

/* "#/components/schemas/User" inside the document; &value_undefined when it leads
 * nowhere. */
static const struct value *follow(struct context *c, const char *ref) {
    const struct value *v = c->doc;

    if (ref[0] != '#' || ref[1] != '/')
        return &value_undefined;
    for (const char *p = ref + 2;;) {
        struct buf key = BUF_INIT;

        for (; *p && *p != '/'; p++) {
            if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
                buf_addc(&key, *++p == '0' ? '~' : '/');
            else
                buf_addc(&key, *p);
        }
        v = value_get_len(v, key.data ? key.data : "", key.len);
        buf_fini(&key);
        if (*p == '\0')
            return v;
        p++;
    }
}

/* An object that may be {$ref}: what it stands for, through at most 16 references. */
static const struct value *deref(struct context *c, const struct value *v) {
    for (int i = 0; i < 16; i++) {
        const char *ref = value_get_string(v, "$ref", NULL);

        if (!ref)
            return v;
        v = follow(c, ref);
    }
    return &value_undefined;
}

struct trail {
    const struct trail *up;
    const char *ref;
};

static bool on_trail(const struct trail *t, const char *ref) {
    for (; t; t = t->up)
        if (strcmp(t->ref, ref) == 0)
            return true;
    return false;
}

static const struct value *expand(struct context *c, const struct value *schema,
                                  const struct trail *trail, int depth);

static const struct value *expand_members(struct context *c, const struct value *o,
                                          const struct trail *trail, int depth) {
    struct object_builder b;

    object_begin(&b, c->arena, value_members_count(o));
    for (VALUE_EACH_MEMBER(m, o))
        object_set_ref(&b, m->key, m->key_len, expand(c, &m->value, trail, depth));
    return object_end(&b);
}

static const struct value *expand_items(struct context *c, const struct value *list,
                                        const struct trail *trail, int depth) {
    struct array_builder b;

    array_begin(&b, c->arena, value_items_count(list));
    for (VALUE_EACH_ITEM(i, list))
        array_push(&b, expand(c, i, trail, depth));
    return array_end(&b);
}

/* OpenAPI 3.1 writes ["string", "null"]; our schemas have one type. */
static const struct value *one_type(const struct value *type) {
    if (!value_is_array(type))
        return type;
    for (VALUE_EACH_ITEM(t, type))
        if (!value_equals_text(t, "null"))
            return t;
    return &value_undefined;
}

static void merge_all_of(struct context *c, struct object_builder *b,
                         const struct value *parts, const struct trail *trail,
                         int depth) {
    struct object_builder properties;
    struct array_builder required;

    object_begin(&properties, c->arena, 8);
    array_begin(&required, c->arena, 4);
    for (VALUE_EACH_ITEM(part, parts)) {
        const struct value *s = expand(c, part, trail, depth);

        for (VALUE_EACH_MEMBER(m, s)) {
            if (strcmp(m->key, "properties") == 0)
                object_set_all(&properties, &m->value);
            else if (strcmp(m->key, "required") == 0)
                for (VALUE_EACH_ITEM(r, &m->value))
                    array_push(&required, r);
            else
                object_set_ref(b, m->key, m->key_len, &m->value);
        }
    }
    if (properties.len)
        object_set(b, "properties", object_end(&properties));
    if (required.len)
        object_set(b, "required", array_end(&required));
}

static const struct value *expand(struct context *c, const struct value *schema,
                                  const struct trail *trail, int depth) {
    const char *ref = value_get_string(schema, "$ref", NULL);
    struct trail here = {trail, ref};
    struct object_builder b;

    if (!value_is_object(schema))
        return schema;
    if (depth > MAX_DEPTH || arena_used(c->arena) > MAX_BYTES)
        return &value_empty_object;
    if (ref) {
        if (on_trail(trail, ref))
            return &value_empty_object;
        schema = follow(c, ref);
        if (!value_is_object(schema))
            return &value_empty_object;
        return expand(c, schema, &here, depth);
    }
    object_begin(&b, c->arena, schema->len);
    for (VALUE_EACH_MEMBER(m, schema)) {
        const struct value *v = &m->value;

        if (strcmp(m->key, "allOf") == 0)
            merge_all_of(c, &b, v, trail, depth + 1);
        else if (strcmp(m->key, "properties") == 0)
            object_set(&b, "properties", expand_members(c, v, trail, depth + 1));
        else if (strcmp(m->key, "items") == 0 ||
                 strcmp(m->key, "additionalProperties") == 0)
            object_set_ref(&b, m->key, m->key_len, expand(c, v, trail, depth + 1));
        else if (strcmp(m->key, "oneOf") == 0 || strcmp(m->key, "anyOf") == 0)
            object_set(&b, "anyOf", expand_items(c, v, trail, depth + 1));
        else if (strcmp(m->key, "type") == 0)
            object_set(&b, "type", one_type(v));
        else if (strcmp(m->key, "nullable") != 0 && strcmp(m->key, "xml") != 0 &&
                 strcmp(m->key, "discriminator") != 0 &&
                 strcmp(m->key, "externalDocs") != 0)
            object_set_ref(&b, m->key, m->key_len, v);
    }
    return object_end(&b);
}

/* ---- keys ---- */

/* "GET /users/{id}/posts" is "get-users-id-posts". */
static const char *slug(struct arena *a, const char *text) {
    struct buf b = BUF_INIT;
    const char *s;

    for (const char *p = text; *p; p++) {
        if (isalnum((unsigned char)*p))
            buf_addc(&b, (char)tolower((unsigned char)*p));
        else if (b.len && b.data[b.len - 1] != '-')
            buf_addc(&b, '-');
    }
    while (b.len && b.data[b.len - 1] == '-')
        b.len--;
    s = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return *s ? s : "operation";
}

static const char *unused_key(struct context *c, const char *key) {
    const char *free_key = key;

    for (int n = 2; object_builder_get(&c->operations, free_key, strlen(free_key)); n++)
        free_key = arena_printf(c->arena, "%s-%d", key, n);
    return free_key;
}

/* ---- one operation out ---- */

struct operation {
    const char *key, *name, *method, *path;
    const struct value *description, *tags;
    struct object_builder path_parameters, query, headers; /* name -> schema */
    struct array_builder required_path, required_query, required_headers;
    const struct value *body; /* schema, or &value_undefined */
    bool body_required;
    const struct value *output; /* schema, or &value_undefined */
};

static void operation_begin(struct context *c, struct operation *op) {
    object_begin(&op->path_parameters, c->arena, 2);
    object_begin(&op->query, c->arena, 4);
    object_begin(&op->headers, c->arena, 2);
    array_begin(&op->required_path, c->arena, 2);
    array_begin(&op->required_query, c->arena, 2);
    array_begin(&op->required_headers, c->arena, 2);
    op->description = op->tags = op->body = op->output = &value_undefined;
}

static const struct value *group_schema(struct arena *a,
                                        struct object_builder *properties,
                                        struct array_builder *required) {
    return value_obj(a, "type", value_string(a, "object"), "properties",
                     object_end(properties), "required",
                     required->len ? array_end(required) : NULL, NULL);
}

static void add_group(struct context *c, struct object_builder *input,
                      struct object_builder *mapping, struct array_builder *required,
                      const char *name, const struct value *schema, bool is_required) {
    object_set(input, name, schema);
    object_set(
        mapping, name,
        value_obj(c->arena, "$var", value_stringf(c->arena, "$.input.%s", name), NULL));
    if (is_required)
        array_push(required, value_string(c->arena, name));
}

static void operation_end(struct context *c, struct operation *op) {
    struct arena *a = c->arena;
    struct object_builder input, mapping;
    struct array_builder required;
    const struct value *schema, *run;
    bool read_only = strcmp(op->method, "GET") == 0 || strcmp(op->method, "HEAD") == 0;

    object_begin(&input, a, 4);
    object_begin(&mapping, a, 4);
    array_begin(&required, a, 4);
    if (op->path_parameters.len)
        add_group(c, &input, &mapping, &required, "pathParameters",
                  group_schema(a, &op->path_parameters, &op->required_path), true);
    if (op->query.len) {
        bool needed = op->required_query.len > 0;

        add_group(c, &input, &mapping, &required, "query",
                  group_schema(a, &op->query, &op->required_query), needed);
    }
    if (op->headers.len) {
        bool needed = op->required_headers.len > 0;

        add_group(c, &input, &mapping, &required, "headers",
                  group_schema(a, &op->headers, &op->required_headers), needed);
    }
    if (!value_is(op->body, VALUE_UNDEFINED))
        add_group(c, &input, &mapping, &required, "data", op->body, op->body_required);
    schema =
        value_obj(a, "type", value_string(a, "object"), "properties", object_end(&input),
                  "required", required.len ? array_end(&required) : NULL, NULL);
    run = value_obj(a, "type", value_string(a, "rest-api-mapping"), "mapping",
                    value_obj(a, "path", value_string(a, op->path), "method",
                              value_string(a, op->method), "requestMapping",
                              object_end(&mapping), NULL),
                    NULL);
    op->key = unused_key(c, op->key);
    object_set(&c->operations, op->key,
               value_obj(a, "key", value_string(a, op->key), "name",
                         value_string(a, op->name), "description", op->description,
                         "tags", op->tags, "isReadOnly", value_bool(read_only),
                         "inputSchema", schema, "outputSchema", op->output, "methods",
                         value_obj(a, "run", run, NULL), NULL));
}

/* ---- OpenAPI ---- */

static const char *const methods[] = {"get",   "put",  "post",   "delete",
                                      "patch", "head", "options"};

static void add_parameter(struct context *c, struct operation *op,
                          const struct value *parameter) {
    const char *name, *in;
    const struct value *schema;
    bool required;

    parameter = deref(c, parameter);
    name = value_get_string(parameter, "name", NULL);
    in = value_get_string(parameter, "in", "");
    if (!name)
        return;
    required = value_get_bool(parameter, "required", false);
    if (strcmp(in, "body") == 0) { /* Swagger 2 */
        op->body = expand(c, value_get(parameter, "schema"), NULL, 0);
        op->body_required = required;
        return;
    }
    if (value_is_object(value_get(parameter, "schema"))) {
        schema = expand(c, value_get(parameter, "schema"), NULL, 0);
    } else {
        static const char *const keep[] = {"type",    "format",  "enum",    "items",
                                           "default", "minimum", "maximum", NULL};

        schema = value_pick(c->arena, parameter, keep);
    }
    if (value_is_string(value_get(parameter, "description")))
        schema = value_with(c->arena, schema, "description",
                            value_get(parameter, "description"));
    if (strcmp(in, "path") == 0) {
        object_set(&op->path_parameters, name, schema);
        array_push(&op->required_path, value_string(c->arena, name));
    } else if (strcmp(in, "query") == 0) {
        object_set(&op->query, name, schema);
        if (required)
            array_push(&op->required_query, value_string(c->arena, name));
    } else if (strcmp(in, "header") == 0 && strcasecmp(name, "authorization") != 0) {
        object_set(&op->headers, name, schema);
        if (required)
            array_push(&op->required_headers, value_string(c->arena, name));
    } else if (strcmp(in, "formData") == 0) { /* Swagger 2: one property of the body */
        const struct value *properties = value_get(op->body, "properties");

        properties = value_with(c->arena, properties, name, schema);
        op->body = value_obj(c->arena, "type", value_string(c->arena, "object"),
                             "properties", properties, NULL);
        op->body_required |= required;
    }
}

/* The schema of the JSON content, else of the first content that has one. */
static const struct value *content_schema(struct context *c,
                                          const struct value *content) {
    const struct value *first = &value_undefined;

    for (VALUE_EACH_MEMBER(m, content)) {
        const struct value *schema = value_get(&m->value, "schema");

        if (!value_is_object(schema))
            continue;
        if (strstr(m->key, "json"))
            return expand(c, schema, NULL, 0);
        if (value_is(first, VALUE_UNDEFINED))
            first = schema;
    }
    return value_is(first, VALUE_UNDEFINED) ? first : expand(c, first, NULL, 0);
}

static const struct value *success_schema(struct context *c,
                                          const struct value *responses) {
    for (VALUE_EACH_MEMBER(m, responses)) {
        const struct value *response;

        if (m->key[0] != '2' && strcmp(m->key, "default") != 0)
            continue;
        response = deref(c, &m->value);
        if (value_is_object(value_get(response, "schema"))) /* Swagger 2 */
            return expand(c, value_get(response, "schema"), NULL, 0);
        if (value_is_object(value_get(response, "content")))
            return content_schema(c, value_get(response, "content"));
    }
    return &value_undefined;
}

static void read_openapi_operation(struct context *c, const char *path,
                                   const char *method, const struct value *shared,
                                   const struct value *o) {
    struct operation op = {0};
    const char *id = value_get_string(o, "operationId", NULL);
    const char *summary = value_get_string(o, "summary", NULL);
    const struct value *body = deref(c, value_get(o, "requestBody"));
    char upper[8] = "";

    operation_begin(c, &op);
    for (size_t i = 0; method[i]; i++)
        upper[i] = (char)toupper((unsigned char)method[i]);
    op.method = arena_strdup(c->arena, upper);
    op.path = path;
    op.key =
        id && *id ? id : slug(c->arena, arena_printf(c->arena, "%s %s", method, path));
    op.name = summary && *summary ? summary
              : id && *id         ? id
                                  : arena_printf(c->arena, "%s %s", op.method, path);
    op.description = value_get(o, "description");
    op.tags = value_get(o, "tags");
    for (VALUE_EACH_ITEM(p, shared))
        add_parameter(c, &op, p);
    for (VALUE_EACH_ITEM(p, value_get(o, "parameters")))
        add_parameter(c, &op, p);
    if (value_is_object(body)) {
        op.body = content_schema(c, value_get(body, "content"));
        op.body_required = value_get_bool(body, "required", false);
    }
    op.output = success_schema(c, value_get(o, "responses"));
    operation_end(c, &op);
}

static const struct value *openapi_base_uri(struct context *c) {
    const char *host = value_get_string(c->doc, "host", NULL);
    const char *url =
        value_get_string(value_at(value_get(c->doc, "servers"), 0), "url", NULL);

    if (c->swagger2 && host) {
        const char *scheme = value_text(value_at(value_get(c->doc, "schemes"), 0));

        return value_stringf(c->arena, "%s://%s%s", scheme ? scheme : "https", host,
                             value_get_string(c->doc, "basePath", ""));
    }
    return url && strstr(url, "://") ? value_string(c->arena, url) : &value_undefined;
}

static int read_openapi(struct context *c, struct api_description *ret) {
    const struct value *paths = value_get(c->doc, "paths");
    const struct value *info = value_get(c->doc, "info");

    if (!value_is_object(paths) && !value_is_object(value_get(c->doc, "webhooks")))
        return st_fail(c->st, ST_BAD_REQUEST, NULL,
                       "the API description has no `paths` object");
    for (VALUE_EACH_MEMBER(p, paths)) {
        const struct value *item = deref(c, &p->value);

        for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
            const struct value *o = value_get(item, methods[i]);

            if (!value_is_object(o))
                continue;
            if (c->operations.len >= MAX_OPERATIONS || arena_used(c->arena) > MAX_BYTES) {
                warn(c, "the description is too large: the rest was left out");
                goto done;
            }
            read_openapi_operation(c, p->key, methods[i], value_get(item, "parameters"),
                                   o);
        }
    }
done:
    ret->info = value_obj(c->arena, "type", value_string(c->arena, "openapi"), "title",
                          value_get(info, "title"), "version", value_get(info, "version"),
                          "baseUri", openapi_base_uri(c), NULL);
    return 0;
}

/* ---- Postman ---- */

/* ":id" and "{{id}}" in a path are path parameters: "{id}". */
static const char *postman_path(struct context *c, struct operation *op,
                                const char *raw) {
    struct buf b = BUF_INIT;
    const char *p = raw, *path;

    if ((p = strstr(raw, "://")))
        p = strchr(p + 3, '/');
    else if (strncmp(raw, "{{", 2) == 0) /* a variable that holds the base address */
        p = strstr(raw, "}}") ? strstr(raw, "}}") + 2 : raw;
    else
        p = raw;
    if (!p)
        p = "/";
    while (*p && *p != '?' && *p != '#') {
        bool colon = p[0] == ':' && p > raw && p[-1] == '/' && p[1] && p[1] != '/';
        bool braces = strncmp(p, "{{", 2) == 0 && strstr(p, "}}");

        if (colon || braces) {
            const char *start = p + (colon ? 1 : 2);
            size_t n = colon ? strcspn(start, "/?#") : (size_t)(strstr(p, "}}") - start);
            const char *name = arena_memdup(c->arena, start, n);

            buf_addf(&b, "{%s}", name);
            object_set(
                &op->path_parameters, name,
                value_obj(c->arena, "type", value_string(c->arena, "string"), NULL));
            array_push(&op->required_path, value_string(c->arena, name));
            p = start + n + (colon ? 0 : 2);
        } else {
            buf_addc(&b, *p++);
        }
    }
    if (!b.len || b.data[0] != '/') {
        path = arena_printf(c->arena, "/%s", b.data ? b.data : "");
    } else {
        path = buf_to_arena(&b, c->arena).data;
    }
    buf_fini(&b);
    return path;
}

/* A schema from an example value: types only. */
static const struct value *schema_of(struct context *c, const struct value *v,
                                     int depth) {
    struct arena *a = c->arena;
    struct object_builder b;

    switch ((enum value_type)v->type) {
    case VALUE_BOOL:
        return value_obj(a, "type", value_string(a, "boolean"), NULL);
    case VALUE_NUMBER:
        return value_obj(a, "type", value_string(a, "number"), NULL);
    case VALUE_STRING:
        return value_obj(a, "type", value_string(a, "string"), NULL);
    case VALUE_ARRAY:
        return value_obj(
            a, "type", value_string(a, "array"), "items",
            v->len && depth < MAX_DEPTH ? schema_of(c, v->items, depth + 1) : NULL, NULL);
    case VALUE_OBJECT:
        object_begin(&b, a, v->len);
        for (VALUE_EACH_MEMBER(m, v))
            object_set_ref(&b, m->key, m->key_len,
                           depth < MAX_DEPTH ? schema_of(c, &m->value, depth + 1)
                                             : &value_empty_object);
        return value_obj(a, "type", value_string(a, "object"), "properties",
                         object_end(&b), NULL);
    default:
        return &value_empty_object;
    }
}

static void postman_body(struct context *c, struct operation *op,
                         const struct value *body) {
    const char *mode = value_get_string(body, "mode", "");
    const struct value *fields, *example;
    struct status ignored;

    if (strcmp(mode, "raw") == 0) {
        struct bytes raw = value_bytes(value_get(body, "raw"));

        st_init(&ignored, c->arena);
        if (value_parse(c->arena, raw.data, raw.len, NULL, &example, &ignored) == 0)
            op->body = schema_of(c, example, 0);
        else
            op->body =
                value_obj(c->arena, "type", value_string(c->arena, "string"), NULL);
        return;
    }
    fields = value_get(body, mode); /* urlencoded, formdata */
    if (value_is_array(fields)) {
        struct object_builder b;

        object_begin(&b, c->arena, fields->len);
        for (VALUE_EACH_ITEM(f, fields))
            if (value_get_string(f, "key", NULL))
                object_set(
                    &b, value_get_string(f, "key", ""),
                    value_obj(c->arena, "type", value_string(c->arena, "string"), NULL));
        op->body = value_obj(c->arena, "type", value_string(c->arena, "object"),
                             "properties", object_end(&b), NULL);
    }
}

static void read_postman_request(struct context *c, const struct value *item) {
    const struct value *request = value_get(item, "request"), *url;
    const char *name = value_get_string(item, "name", NULL), *raw;
    struct operation op = {0};

    operation_begin(c, &op);
    url = value_is_string(request) ? request : value_get(request, "url");
    raw = value_is_string(url) ? value_text(url) : value_get_string(url, "raw", "/");
    op.method = value_get_string(request, "method", "GET");
    op.path = postman_path(c, &op, raw);
    op.name = name ? name : arena_printf(c->arena, "%s %s", op.method, op.path);
    op.key = slug(c->arena, op.name);
    op.description = value_get(request, "description");
    if (value_is_object(op.description))
        op.description = value_get(op.description, "content");
    for (VALUE_EACH_ITEM(q, value_get(url, "query")))
        if (value_get_string(q, "key", NULL))
            object_set(&op.query, value_get_string(q, "key", ""),
                       value_obj(c->arena, "type", value_string(c->arena, "string"),
                                 "description", value_get(q, "description"), NULL));
    postman_body(c, &op, value_get(request, "body"));
    operation_end(c, &op);
}

static void read_postman_items(struct context *c, const struct value *items, int depth) {
    for (VALUE_EACH_ITEM(item, items)) {
        if (c->operations.len >= MAX_OPERATIONS)
            return;
        if (value_is_array(value_get(item, "item"))) {
            if (depth < MAX_DEPTH)
                read_postman_items(c, value_get(item, "item"), depth + 1);
        } else if (value_has(item, "request")) {
            read_postman_request(c, item);
        }
    }
}

int api_description_read(struct arena *a, const struct value *doc,
                         struct api_description *ret, struct status *st) {
    struct context c = {.arena = a, .st = st, .doc = doc};
    const char *openapi = value_get_string(doc, "openapi", "");
    const char *schema = value_get_string(value_get(doc, "info"), "schema", "");
    const struct value *swagger = value_get(doc, "swagger");

    object_begin(&c.operations, a, 32);
    array_begin(&c.warnings, a, 0);
    c.swagger2 = value_equals_text(swagger, "2.0") ||
                 (value_is_number(swagger) && swagger->number == 2);
    if (c.swagger2 || strncmp(openapi, "3.", 2) == 0) {
        if (read_openapi(&c, ret) < 0)
            return -1;
    } else if (strstr(schema, "postman") || value_is_array(value_get(doc, "item"))) {
        read_postman_items(&c, value_get(doc, "item"), 0);
        ret->info = value_obj(a, "type", value_string(a, "openapi"), "title",
                              value_path(doc, "info", "name", NULL), NULL);
    } else {
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "not an OpenAPI 2.0, 3.0 or 3.1 description and not a Postman 2 "
                       "collection");
    }
    ret->operations = object_end(&c.operations);
    ret->warnings = array_end(&c.warnings);
    return 0;
}
