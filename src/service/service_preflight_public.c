/*
 * Checks of preflight that look at the deployment from outside: names, certificates,
 * public addresses, sign-in and mail. S137, S140-S142.
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "http/http_client.h"
#include "service_preflight.h"
#include "value/value.h"

enum { CALL_MS = 10 * 1000, DAY_S = 24 * 3600, CERTIFICATE_DAYS = 14 };

/* ---- Sign-in ---- */

static int get_json(struct preflight *p, const char *url, const struct value **ret,
                    struct status *st) {
    struct http_call call = {.method = "GET",
                             .url = url,
                             .reach = HTTP_REACH_ANY,
                             .timeout_ms = CALL_MS,
                             .max_answer_bytes = 256 * 1024};
    struct http_answer answer;

    if (http_client_call(p->service.deps.http, p->arena, &call, &answer, st) < 0)
        return -1;
    preflight_saw_date(p, url, http_answer_header(&answer, "Date"));
    if (answer.status != 200)
        return st_fail(st, ST_INTERNAL, NULL, "%s answers %d", url, answer.status);
    if (value_parse(p->arena, answer.body.data, answer.body.len, NULL, ret, st) < 0)
        return st_fail(st, ST_INTERNAL, NULL, "%s answers no JSON", url);
    return 0;
}

static enum preflight_result check_keys(struct preflight *p, const char *url,
                                        const char **ret_note) {
    const struct value *set;
    struct status st;
    size_t n;

    st_init(&st, p->arena);
    if (get_json(p, url, &set, &st) < 0)
        return preflight_fail(p, ret_note, &st);
    n = value_items_count(value_get(set, "keys"));
    *ret_note = arena_printf(p->arena, "%s has %zu key%s", url, n, n == 1 ? "" : "s");
    return n ? PREFLIGHT_OK : PREFLIGHT_FAIL;
}

static enum preflight_result check_issuer(struct preflight *p, const char *issuer,
                                          const char **ret_note) {
    const struct value *discovery;
    const char *uri;
    struct status st;

    st_init(&st, p->arena);
    if (get_json(p, arena_printf(p->arena, "%s/.well-known/openid-configuration", issuer),
                 &discovery, &st) < 0)
        return preflight_fail(p, ret_note, &st);
    if (!(uri = value_get_string(discovery, "jwks_uri", NULL))) {
        *ret_note = "the provider names no key set";
        return PREFLIGHT_FAIL;
    }
    return check_keys(p, uri, ret_note);
}

enum preflight_result preflight_sign_in(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;

    if (c->auth0_domain && c->oidc_issuer) {
        *ret_note = "both Auth0 and another provider are set: one of them";
        return PREFLIGHT_FAIL;
    }
    if (c->auth0_domain)
        return check_keys(
            p,
            arena_printf(p->arena, "https://%s/.well-known/jwks.json", c->auth0_domain),
            ret_note);
    if (c->oidc_issuer)
        return check_issuer(p, c->oidc_issuer, ret_note);
    *ret_note = "by user name and password";
    return PREFLIGHT_OK;
}

/* ---- Mail ---- */

/* Greeting, TLS and log-in; no mail is sent. */
enum preflight_result preflight_mail(struct preflight *p, const char **ret_note) {
    const struct config *c = p->service.deps.config;
    char error[CURL_ERROR_SIZE] = "";
    const char *url;
    CURLcode rc;
    CURL *h;

    if (!c->smtp_host) {
        *ret_note = "SMTP_HOST is not set";
        return PREFLIGHT_SKIP;
    }
    if (!(h = curl_easy_init()))
        abort();
    url = arena_printf(p->arena, "%s://%s:%d", c->smtp_secure ? "smtps" : "smtp",
                       c->smtp_host, (int)c->smtp_port);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    if (!c->smtp_secure && c->smtp_user && !c->smtp_allow_plaintext)
        curl_easy_setopt(h, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    if (c->extra_ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, c->extra_ca_file);
    if (c->smtp_user) {
        curl_easy_setopt(h, CURLOPT_USERNAME, c->smtp_user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, c->smtp_password);
    }
    rc = curl_easy_perform(h);
    curl_easy_cleanup(h);
    *ret_note = rc == CURLE_OK ? arena_printf(p->arena, "%s answers", url)
                               : arena_printf(p->arena, "%s: %s", url,
                                              *error ? error : curl_easy_strerror(rc));
    return rc == CURLE_OK ? PREFLIGHT_OK : PREFLIGHT_FAIL;
}

/* ---- Names and addresses ---- */

/* What browsers and other services reach the deployment at; probe: path that answers. */
struct public_address {
    const char *variable, *uri, *probe;
};

static size_t public_addresses(const struct config *c, struct public_address out[4]) {
    size_t n = 0;

    out[n++] = (struct public_address){"BASE_URI", c->base_uri, "/"};
    if (c->ui_uri)
        out[n++] = (struct public_address){"UI_URI", c->ui_uri, "/"};
    if (c->console_uri)
        out[n++] = (struct public_address){"CONSOLE_URI", c->console_uri, "/"};
    if (c->base_static_uri &&
        strncmp(c->base_static_uri, c->base_uri, strlen(c->base_uri)) != 0)
        out[n++] = (struct public_address){"BASE_STATIC_URI", c->base_static_uri, NULL};
    return n;
}

static const char *host_of(struct arena *a, const char *uri) {
    const char *host = strstr(uri, "://") + 3;

    if (*host == '[')
        return arena_memdup(a, host + 1, strcspn(host + 1, "]"));
    return arena_memdup(a, host, strcspn(host, ":/"));
}

enum preflight_result preflight_names(struct preflight *p, const char **ret_note) {
    struct public_address list[4];
    size_t n = public_addresses(p->service.deps.config, list), bad = 0;
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < n; i++) {
        const char *host = host_of(p->arena, list[i].uri);
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
        int rc = getaddrinfo(host, NULL, &hints, &found);

        if (rc == 0)
            freeaddrinfo(found);
        bad += rc != 0;
        buf_addf(&b, "%s%s%s%s%s", b.len ? ", " : "", host, rc ? " (" : "",
                 rc ? gai_strerror(rc) : "", rc ? ")" : "");
    }
    *ret_note = buf_to_arena(&b, p->arena).data;
    buf_fini(&b);
    return bad ? PREFLIGHT_FAIL : PREFLIGHT_OK;
}

struct visit {
    struct preflight *p;
    const char *uri;
};

static size_t on_header(char *line, size_t size, size_t n, void *ctx) {
    struct visit *v = ctx;

    if (size * n > 6 && strncasecmp(line, "Date:", 5) == 0)
        preflight_saw_date(v->p, v->uri,
                           arena_memdup(v->p->arena, line + 5, size * n - 5));
    return size * n;
}

static size_t discard(char *data, size_t size, size_t n, void *ctx) {
    (void)data;
    (void)ctx;
    return size * n;
}

/* Days until the first certificate of the chain ends; -1: none was seen. */
static long days_left(CURL *h, int64_t now_ms) {
    struct curl_certinfo *info = NULL;

    if (curl_easy_getinfo(h, CURLINFO_CERTINFO, &info) != CURLE_OK || !info ||
        info->num_of_certs < 1)
        return -1;
    for (struct curl_slist *s = info->certinfo[0]; s; s = s->next)
        if (strncmp(s->data, "Expire date:", 12) == 0) {
            time_t end = curl_getdate(s->data + 12, NULL);

            return end < 0 ? -1 : (long)((end - now_ms / 1000) / DAY_S);
        }
    return -1;
}

static enum preflight_result visit(struct preflight *p, const struct public_address *at,
                                   const char **ret_note) {
    const struct config *c = p->service.deps.config;
    struct visit v = {p, at->uri};
    char error[CURL_ERROR_SIZE] = "";
    long status = 0, days;
    CURL *h = curl_easy_init();
    CURLcode rc;

    if (!h)
        abort();
    curl_easy_setopt(
        h, CURLOPT_URL,
        arena_printf(p->arena, "%s%s", at->uri, at->probe ? at->probe : "/"));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &v);
    if (c->extra_ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, c->extra_ca_file);
    rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    days = days_left(h, clock_now_ms(p->service.deps.clock));
    curl_easy_cleanup(h);
    if (rc != CURLE_OK) {
        *ret_note = arena_printf(p->arena, "%s: %s", at->uri,
                                 *error ? error : curl_easy_strerror(rc));
        return PREFLIGHT_FAIL;
    }
    if (at->probe && status != 200) {
        *ret_note = arena_printf(p->arena, "%s answers %ld", at->uri, status);
        return PREFLIGHT_FAIL;
    }
    *ret_note = days < 0 ? at->uri
                         : arena_printf(p->arena, "%s (certificate for %ld more days)",
                                        at->uri, days);
    return days >= 0 && days < CERTIFICATE_DAYS ? PREFLIGHT_WARN : PREFLIGHT_OK;
}

/* Health through the public addresses, with the certificates that browsers will see. */
enum preflight_result preflight_addresses(struct preflight *p, const char **ret_note) {
    struct public_address list[4];
    size_t n = public_addresses(p->service.deps.config, list);
    enum preflight_result worst = PREFLIGHT_OK;
    struct buf b = BUF_INIT;

    for (size_t i = 0; i < n; i++) {
        const char *note;
        enum preflight_result r = visit(p, &list[i], &note);

        if (r > worst)
            worst = r;
        buf_addf(&b, "%s%s", b.len ? ", " : "", note);
    }
    *ret_note = buf_to_arena(&b, p->arena).data;
    buf_fini(&b);
    return worst;
}
