#include "connector_function.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "value/value.h"
#include "yaml/yaml.h"

static const char *const type_names[FUNCTION_TYPE_COUNT] = {
    [FUNCTION_MAPPING] = "mapping",
    [FUNCTION_OPERATION_MAPPING] = "operation-mapping",
    [FUNCTION_REST_API_MAPPING] = "rest-api-mapping",
    [FUNCTION_GRAPHQL_API_MAPPING] = "graphql-api-mapping",
    [FUNCTION_JAVASCRIPT] = "javascript",
    [FUNCTION_NOT_SUPPORTED] = "not-supported",
};

/* First match wins: the longer suffixes stand before those they end with. */
static const struct {
    const char *suffix;
    enum function_type type;
} suffixes[] = {
    {".rest.yml", FUNCTION_REST_API_MAPPING},
    {".api.yml", FUNCTION_REST_API_MAPPING},
    {".graphql.yml", FUNCTION_GRAPHQL_API_MAPPING},
    {".op.yml", FUNCTION_OPERATION_MAPPING},
    {".js", FUNCTION_JAVASCRIPT},
    {".ts", FUNCTION_JAVASCRIPT},
    {".map.yml", FUNCTION_MAPPING},
    {".yml", FUNCTION_MAPPING},
    {".yaml", FUNCTION_MAPPING},
};

static const struct auth_function {
    const char *key, *file;
    unsigned types;
    const char *auth_types; /* words, or "*" */
    bool required;
} auth_functions[] = {
#define AUTH_FUNCTION(key, file, types, auth_types, required)                            \
    {key, file, types, auth_types, required},
#include "functions.def"
};
#define AUTH_FUNCTIONS (sizeof(auth_functions) / sizeof(*auth_functions))

const char *connector_function_type_name(enum function_type type) {
    return type_names[type];
}

int connector_function_type(const char *name) {
    for (int i = 0; i < FUNCTION_TYPE_COUNT; i++)
        if (strcmp(type_names[i], name) == 0)
            return i;
    return -1;
}

bool connector_is_auth_function(const char *key) {
    for (size_t i = 0; i < AUTH_FUNCTIONS; i++)
        if (strcmp(auth_functions[i].key, key) == 0)
            return true;
    return false;
}

const char *connector_method_key(struct arena *a, const char *kebab) {
    /* Older names of files beside those that the rule gives. */
    static const struct {
        const char *file, *key;
    } odd[] = {
        {"oauth-config", "getOAuthConfig"},
        {"get-credentials-from-token-response", "getCredentialsFromAccessTokenResponse"},
    };
    struct buf b = BUF_INIT;
    const char *key;

    for (size_t i = 0; i < AUTH_FUNCTIONS; i++)
        if (strcmp(auth_functions[i].file, kebab) == 0)
            return auth_functions[i].key;
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        if (strcmp(odd[i].file, kebab) == 0)
            return odd[i].key;
    for (const char *p = kebab; *p; p++) {
        if (*p == '-' && p[1])
            buf_addc(&b, (char)toupper((unsigned char)*++p));
        else
            buf_addc(&b, *p);
    }
    key = buf_to_arena(&b, a).data;
    buf_fini(&b);
    return key;
}

bool connector_function_file(struct arena *a, const char *file_name,
                             const char **ret_method, enum function_type *ret_type) {
    size_t len = strlen(file_name);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        size_t n = strlen(suffixes[i].suffix);

        if (len > n && strcmp(file_name + len - n, suffixes[i].suffix) == 0) {
            *ret_method = connector_method_key(a, arena_memdup(a, file_name, len - n));
            *ret_type = suffixes[i].type;
            return true;
        }
    }
    return false;
}

int connector_function_read(struct arena *a, const char *path, enum function_type type,
                            struct bytes body, const struct value **ret_function,
                            struct status *st) {
    const struct value *content;

    if (type == FUNCTION_JAVASCRIPT)
        content = value_string_len(a, body.data, body.len);
    else if (yaml_parse(a, path, body.data, body.len, NULL, &content, st) < 0)
        return -1;
    *ret_function = value_obj(a, "type", value_string(a, type_names[type]),
                              type == FUNCTION_JAVASCRIPT ? "code" : "mapping", content,
                              "filePath", value_string(a, path), NULL);
    return 0;
}

/* ---- validation ---- */

static bool has_word(const char *words, const char *word) {
    size_t n = strlen(word);

    for (const char *p = words; (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

/* What is wrong with one definition, or NULL. */
static const char *definition_problem(struct arena *a, const struct auth_function *f,
                                      const struct value *def) {
    const char *type = value_get_string(def, "type", NULL);
    int t = type ? connector_function_type(type) : -1;

    if (!value_is_object(def))
        return "must be an object";
    if (!type)
        return "\"type\" is missing";
    if (t < 0)
        return arena_printf(a, "unknown type \"%.60s\"", type);
    if (!(f->types & FUNCTION_MASK((unsigned)t)))
        return arena_printf(a, "type \"%s\" is not supported for this function", type);
    if (t == FUNCTION_JAVASCRIPT && !value_is_string(value_get(def, "code")))
        return "\"code\" must be text";
    if (t == FUNCTION_OPERATION_MAPPING &&
        !value_is_string(value_path(def, "mapping", "operationKey", NULL)))
        return "\"mapping.operationKey\" must be text";
    if ((t == FUNCTION_REST_API_MAPPING || t == FUNCTION_GRAPHQL_API_MAPPING) &&
        !value_is_string(value_path(def, "mapping", "path", NULL)))
        return "\"mapping.path\" must be text";
    if (t == FUNCTION_MAPPING && !value_has(def, "mapping"))
        return "\"mapping\" is missing";
    return NULL;
}

static void check_set(struct arena *a, const struct value *set, const char *prefix,
                      struct buf *problems) {
    const char *auth_type = value_get_string(set, "type", NULL);

    for (size_t i = 0; i < AUTH_FUNCTIONS; i++) {
        const struct auth_function *f = &auth_functions[i];
        const struct value *def = value_get(set, f->key);
        const char *problem;

        if (value_is_nullish(def))
            continue;
        problem = definition_problem(a, f, def);
        if (!problem && auth_type && strcmp(f->auth_types, "*") != 0 &&
            !has_word(f->auth_types, auth_type))
            problem = arena_printf(a, "not used by auth type \"%.60s\"", auth_type);
        if (problem)
            buf_addf(problems, "%s\"%s%s\": %s", problems->len ? ", " : "", prefix,
                     f->key, problem);
    }
}

int connector_validate_functions(struct arena *a, const struct value *connector,
                                 struct status *st) {
    struct buf problems = BUF_INIT;
    int rc = 0;

    check_set(a, connector, "", &problems);
    for (VALUE_EACH_MEMBER(m, value_get(connector, "options")))
        check_set(a, &m->value, arena_printf(a, "options.%.*s.", (int)m->key_len, m->key),
                  &problems);
    if (problems.len)
        rc = st_fail(st, ST_BAD_REQUEST, NULL, "Invalid function definition(s): %s",
                     problems.data);
    buf_fini(&problems);
    return rc;
}
