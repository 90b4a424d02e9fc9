#include "config_client.h"

#include <stddef.h>
#include <string.h>

void config_client_load(const char *const *environment,
                        struct config_client *ret_client) {
    struct config_client c = {0};
    const struct {
        const char *name;
        const char **place;
    } rows[] = {
        {"MEMBRANE_API_URI", &c.api_uri},
        {"MEMBRANE_CONSOLE_URI", &c.console_uri},
        {"MEMBRANE_WORKSPACE_KEY", &c.workspace_key},
        {"MEMBRANE_WORKSPACE_SECRET", &c.workspace_secret},
        {"MEMBRANE_ACCESS_TOKEN", &c.access_token},
        {"MEMBRANE_TEST_CUSTOMER_ID", &c.test_customer_id},
    };

    for (const char *const *e = environment; *e; e++)
        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
            size_t len = strlen(rows[i].name);

            if (!strncmp(*e, rows[i].name, len) && (*e)[len] == '=' && (*e)[len + 1])
                *rows[i].place = *e + len + 1;
        }
    *ret_client = c;
}
