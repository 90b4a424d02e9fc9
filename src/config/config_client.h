/*
 * config_client.h - what client commands (token, push, pull, admin ...) are told: which
 * server, which workspace. The public client's command-line programs read the same names.
 */
#ifndef CONFIG_CONFIG_CLIENT_H
#define CONFIG_CONFIG_CLIENT_H

/* NULL: not set, or empty. Lends from the environment. */
struct config_client {
    const char *api_uri;          /* MEMBRANE_API_URI */
    const char *console_uri;      /* MEMBRANE_CONSOLE_URI */
    const char *workspace_key;    /* MEMBRANE_WORKSPACE_KEY */
    const char *workspace_secret; /* MEMBRANE_WORKSPACE_SECRET */
    const char *access_token;     /* MEMBRANE_ACCESS_TOKEN: a personal or signed token */
    const char *test_customer_id; /* MEMBRANE_TEST_CUSTOMER_ID */
};

/* environment: NAME=value, NULL-terminated; usually environ. */
void config_client_load(const char *const *environment, struct config_client *ret_client);

#endif
