/*
 * The commands that start one service, and two that only look: routes, healthcheck.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/arena.h"
#include "config/config.h"
#include "http/http_openapi.h"
#include "http/http_server.h"
#include "service.h"
#include "service_priv.h"

/* Loads for the given roles; prints the report. NULL when there is an error. */
static const struct config *load(struct arena *a, unsigned services, bool quiet) {
    struct config_sources src = {.environment = (const char *const *)environ};
    struct config_report report;
    const struct config *c;
    int rc = config_load(a, services, &src, &c, &report);

    if (!quiet)
        config_report_print(&report, stderr);
    return rc < 0 ? NULL : c;
}

static int run(int argc, char **argv, unsigned services) {
    struct arena *a;
    const struct config *c;
    int status = EX_CONFIG;

    if (argc > 1) {
        fprintf(stderr, "membrane %s: takes no argument, but got %s\n", argv[0], argv[1]);
        return EX_USAGE;
    }
    a = arena_new(0);
    if ((c = load(a, services, false)) != NULL)
        status = service_run(&(struct service_options){.config = c, .ready_fd = -1});
    arena_free(&a);
    return status;
}

int serve_command(int argc, char **argv) {
    return run(argc, argv, 0);
}

int ui_command(int argc, char **argv) {
    return run(argc, argv, SERVICE_UI);
}

int console_command(int argc, char **argv) {
    return run(argc, argv, SERVICE_CONSOLE);
}

int code_runner_command(int argc, char **argv) {
    return run(argc, argv, SERVICE_CODE_RUNNER);
}

/* ---- routes ---- */

int routes_command(int argc, char **argv) {
    struct config c = {.services = SERVICE_CORE};
    struct service s = {.deps = {.config = &c}};
    struct service_listener l = {.service = &s, .services = SERVICE_CORE};

    if (argc > 1) {
        fprintf(stderr, "membrane routes: takes no argument, but got %s\n", argv[1]);
        return EX_USAGE;
    }
    s.arena = arena_new(0);
    l.router = http_router_new();
    service_health_routes(&l);
    service_api_routes(s.arena, l.router);
    http_print_routes(l.router, stdout);
    http_router_free(&l.router);
    arena_free(&s.arena);
    return 0;
}

/* ---- healthcheck ---- */

static size_t discard(char *data, size_t size, size_t n, void *ctx) {
    (void)data;
    (void)ctx;
    return size * n;
}

/* 0 when the address answers 200 within five seconds. */
static int probe(const char *url) {
    CURL *c = curl_easy_init();
    long code = 0;
    CURLcode rc;

    if (!c)
        return EX_SOFTWARE;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, discard);
    rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_cleanup(c);
    if (rc == CURLE_OK && code == 200)
        return 0;
    if (rc != CURLE_OK)
        fprintf(stderr, "membrane healthcheck: %s: %s\n", url, curl_easy_strerror(rc));
    else
        fprintf(stderr, "membrane healthcheck: %s: status %ld\n", url, code);
    return 1;
}

/* Containers have no curl: the executable asks itself. */
int healthcheck_command(int argc, char **argv) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'P'},
        {0},
    };
    const char *path = "/", *port = NULL;
    struct arena *a;
    const struct config *c;
    char url[512];
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = optarg;
        else if (option == 'P')
            path = optarg;
        else
            return EX_USAGE;
    }
    if (optind < argc || *path != '/' ||
        (port &&
         (strspn(port, "0123456789") != strlen(port) || !*port || strlen(port) > 5))) {
        fprintf(stderr, "membrane healthcheck: [--port N] [--path /PATH]\n");
        return EX_USAGE;
    }
    a = arena_new(0);
    if (!port && (c = load(a, SERVICE_CODE_RUNNER, true)) != NULL)
        port = arena_printf(a, "%d", (int)c->port);
    snprintf(url, sizeof(url), "http://127.0.0.1:%s%s", port ? port : "5000", path);
    arena_free(&a);
    return probe(url);
}
