/*
 * The first start of `up`: its answer is what scripts need to come in.
 */
#include "auth/auth_bootstrap.h"
#include "base/arena.h"
#include "service_priv.h"
#include "value/value.h"

int service_bootstrap(struct service *s, const char **ret_line, struct status *st) {
    struct arena *a = s->arena;
    struct auth_bootstrap b;

    if (auth_bootstrap(&s->deps, a, NULL, &b, st) < 0)
        return -1;
    *ret_line =
        value_encode_arena(
            a,
            value_obj(a, "workspaceKey", value_string(a, b.workspace_key),
                      "workspaceSecret", value_string(a, b.workspace_secret),
                      "adminEmail", value_string(a, b.admin_email), "adminUri",
                      value_string(a, b.admin_uri), "adminToken",
                      b.admin_token ? value_string(a, b.admin_token) : NULL, NULL),
            VALUE_ENCODE_COMPACT)
            .data;
    return 0;
}
