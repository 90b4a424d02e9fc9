/*
 * One value against the type of its row: a table of checks, each of which stores the
 * value in the form the program uses or says what is expected instead.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "base/arena.h"
#include "base/status.h"
#include "config_priv.h"
#include "value/value.h"

/* What a check works on. */
struct check {
    struct arena *arena;
    struct config *config;
    const struct config_row *row;
    const char *name, *value;
    struct config_report *report;
};

static bool bad(struct check *c, const char *code, const char *expected) {
    config_report_add(c->report, c->arena, c->name, code, "%s", expected);
    return false;
}

static bool store_text(struct check *c, const char *text) {
    *(const char **)((char *)c->config + c->row->offset) = text;
    return true;
}

int config_parse_bool(const char *s) {
    static const char *const on[] = {"1", "true", "yes", "on"};
    static const char *const off[] = {"0", "false", "no", "off"};

    for (size_t i = 0; i < 4; i++) {
        if (!strcasecmp(s, on[i]))
            return 1;
        if (!strcasecmp(s, off[i]))
            return 0;
    }
    return -1;
}

static bool check_bool(struct check *c) {
    int v = config_parse_bool(c->value);

    if (v < 0)
        return bad(c, "bad-format", "1, true, yes or on; 0, false, no or off");
    *(bool *)((char *)c->config + c->row->offset) = v;
    return true;
}

/* limits: "min-max" or "0|min-max". */
static bool check_int(struct check *c) {
    const char *range = c->row->limits;
    bool zero = !strncmp(range, "0|", 2);
    char *end;
    long long min = strtoll(range + (zero ? 2 : 0), &end, 10);
    long long max = strtoll(end + 1, NULL, 10), v;

    errno = 0;
    v = strtoll(c->value, &end, 10);
    if (end == c->value || *end || !isdigit((unsigned char)end[-1]))
        return bad(c, "bad-format",
                   arena_printf(c->arena, "an integer from %lld to %lld%s", min, max,
                                zero ? ", or 0 for off" : ""));
    if (errno == ERANGE || ((v < min || v > max) && !(zero && v == 0)))
        return bad(c, "out-of-range",
                   arena_printf(c->arena, "an integer from %lld to %lld%s", min, max,
                                zero ? ", or 0 for off" : ""));
    *(int64_t *)((char *)c->config + c->row->offset) = v;
    return true;
}

static bool has_control_or_space(const char *s) {
    for (; *s; s++)
        if (iscntrl((unsigned char)*s) || *s == ' ')
            return true;
    return false;
}

static bool has_part(CURLU *u, CURLUPart part) {
    char *s = NULL;
    bool found = curl_url_get(u, part, &s, 0) == CURLUE_OK && s && *s;

    curl_free(s);
    return found;
}

static bool check_url(struct check *c) {
    bool query_allowed = !strcmp(c->row->limits, "query");
    CURLU *u = curl_url();
    size_t n = strlen(c->value);
    bool ok =
        u && !has_control_or_space(c->value) &&
        (!strncasecmp(c->value, "http://", 7) || !strncasecmp(c->value, "https://", 8)) &&
        curl_url_set(u, CURLUPART_URL, c->value, 0) == CURLUE_OK &&
        has_part(u, CURLUPART_HOST) && !has_part(u, CURLUPART_USER) &&
        !strchr(c->value, '#') && (query_allowed || !strchr(c->value, '?'));

    curl_url_cleanup(u);
    if (!ok)
        return bad(c, "bad-format",
                   query_allowed ? "an absolute http or https address without user or "
                                   "fragment"
                                 : "an absolute http or https address without user, "
                                   "query or fragment");
    while (!query_allowed && n && c->value[n - 1] == '/')
        n--;
    return store_text(c, arena_memdup(c->arena, c->value, n));
}

static bool check_text(struct check *c) {
    for (const char *s = c->value; *s; s++)
        if (iscntrl((unsigned char)*s))
            return bad(c, "bad-format", "one line of text");
    return store_text(c, c->value);
}

static bool check_secret(struct check *c) {
    return store_text(c, c->value);
}

static bool check_enum(struct check *c) {
    size_t len = strlen(c->value);
    const char *p = c->row->limits;

    while (*p) {
        size_t n = strcspn(p, "|");

        if (n == len && !strncmp(p, c->value, n))
            return store_text(c, c->value);
        p += n + (p[n] == '|');
    }
    {
        char *list = arena_strdup(c->arena, c->row->limits);

        for (char *s = list; *s; s++)
            if (*s == '|')
                *s = ' ';
        return bad(c, "unknown-value", arena_printf(c->arena, "one of: %s", list));
    }
}

static bool is_service_account(struct arena *a, FILE *f) {
    char *text = arena_alloc(a, 65536);
    size_t n = fread(text, 1, 65536, f);
    const struct value *v;
    struct status st;

    st_init(&st, a);
    return value_parse(a, text, n, NULL, &v, &st) == 0 &&
           value_equals_text(value_get(v, "type"), "service_account") &&
           value_is_string(value_get(v, "private_key"));
}

static bool check_file(struct check *c) {
    FILE *f = fopen(c->value, "re");
    bool good;

    if (!f || access(c->value, R_OK) < 0) {
        if (f)
            fclose(f);
        return bad(
            c, "unreadable-file",
            arena_printf(c->arena, "a readable file, %s: %s", c->value, strerror(errno)));
    }
    good =
        strcmp(c->row->limits, "service-account") != 0 || is_service_account(c->arena, f);
    fclose(f);
    if (!good)
        return bad(c, "bad-format", "the JSON key file of a service account");
    return store_text(c, c->value);
}

static bool check_host(struct check *c) {
    unsigned char address[16];

    if (inet_pton(AF_INET, c->value, address) != 1 &&
        inet_pton(AF_INET6, c->value, address) != 1)
        return bad(c, "bad-format", "an IPv4 or IPv6 address");
    return store_text(c, c->value);
}

static bool is_host_name(const char *s) {
    size_t label = 0, n = strlen(s);

    if (n == 0 || n > 253)
        return false;
    for (; *s; s++) {
        if (*s == '.') {
            if (label == 0 || s[-1] == '-')
                return false;
            label = 0;
        } else if (isalnum((unsigned char)*s) || (*s == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label > 0 && s[-1] != '-';
}

static bool check_domain(struct check *c) {
    const char *s = strstr(c->value, "://");
    char *host;

    s = s ? s + 3 : c->value;
    host = arena_memdup(c->arena, s, strcspn(s, "/?#"));
    if (!is_host_name(host))
        return bad(c, "bad-format", "a host name without scheme and path");
    if (strcmp(host, c->value) != 0)
        config_report_add(
            c->report, c->arena, c->name, NULL,
            "scheme and path are taken off: only the host name belongs here");
    return store_text(c, host);
}

static bool check_email(struct check *c) {
    const char *at = strchr(c->value, '@');

    if (!at || at == c->value || strchr(at + 1, '@') || !is_host_name(at + 1) ||
        has_control_or_space(c->value))
        return bad(c, "bad-format", "an e-mail address");
    return store_text(c, c->value);
}

static bool check_base64(struct check *c) {
    size_t n = strlen(c->value);
    unsigned char *out = arena_alloc(c->arena, n + 4);

    if (n % 4 || EVP_DecodeBlock(out, (const unsigned char *)c->value, (int)n) < 0)
        return bad(c, "bad-format", "base64 text");
    return store_text(c, c->value);
}

/* host, host:port or [v6]:port */
static bool is_host_and_port(const char *s, size_t len) {
    const char *end = s + len, *port = NULL;
    char *digits_end;
    long v;

    if (len == 0)
        return false;
    if (*s == '[') {
        const char *close = memchr(s, ']', len);

        if (!close)
            return false;
        port = close + 1 < end ? close + 1 : NULL;
        if (port && *port != ':')
            return false;
    } else {
        port = memchr(s, ':', len);
        if (port == s)
            return false;
    }
    if (!port)
        return true;
    v = strtol(port + 1, &digits_end, 10);
    return digits_end == end && digits_end > port + 1 && v >= 1 && v <= 65535;
}

static const char encode_hint[] =
    "user and password percent-encoded: '@' as %40, ':' as %3A, '/' as %2F";

/*
 * Splits off "user:password@". 0 with *s behind it, -1 when a raw '@', ':' or '/' makes
 * it ambiguous.
 */
static int skip_userinfo(const char **s) {
    size_t authority = strcspn(*s, "/?#");
    const char *end = *s + authority;
    const char *at = memrchr(*s, '@', authority);

    if (!at) {
        /* A raw '/' in the password cuts the authority short: the '@' comes later. */
        size_t rest = strcspn(end, "?#");
        const char *later = memchr(end, '@', rest);

        return later && memchr(*s, ':', authority) ? -1 : 0;
    }
    if (memchr(*s, '@', (size_t)(at - *s)))
        return -1;
    {
        const char *colon = memchr(*s, ':', (size_t)(at - *s));

        if (colon && memchr(colon + 1, ':', (size_t)(at - colon - 1)))
            return -1;
    }
    *s = at + 1;
    return 0;
}

static bool check_mongo(struct check *c) {
    bool srv = !strncmp(c->value, "mongodb+srv://", 14);
    const char *s = c->value + (srv ? 14 : 10), *p;
    size_t hosts;

    if (!srv && strncmp(c->value, "mongodb://", 10) != 0)
        return bad(c, "bad-format",
                   "an address that starts with mongodb:// or "
                   "mongodb+srv://");
    if (skip_userinfo(&s) < 0)
        return bad(c, "bad-format", encode_hint);
    hosts = strcspn(s, "/?#");
    for (p = s; p <= s + hosts;) {
        size_t n = strcspn(p, ",/?#");

        if (!is_host_and_port(p, n) || (srv && memchr(p, ':', n)))
            return bad(c, "bad-format",
                       srv ? "one host name without port after mongodb+srv://"
                           : "host or host:port, several separated by commas");
        p += n + 1;
        if (p <= s + hosts && srv)
            return bad(c, "bad-format",
                       "one host name without port after "
                       "mongodb+srv://");
    }
    if (s[hosts] != '/' || strcspn(s + hosts + 1, "?#") == 0)
        return bad(c, "bad-format", "the name of the database in the path");
    return store_text(c, c->value);
}

bool config_check_redis(struct arena *a, const char *name, const char *uri,
                        bool is_cluster, struct config_report *r) {
    struct check c = {.arena = a, .name = name, .value = uri, .report = r};
    bool tls = !strncmp(uri, "rediss://", 9);
    const char *s = uri + (tls ? 9 : 8);
    size_t host;

    if (!tls && strncmp(uri, "redis://", 8) != 0)
        return bad(&c, "bad-format", "an address that starts with redis:// or rediss://");
    if (skip_userinfo(&s) < 0)
        return bad(&c, "bad-format", encode_hint);
    host = strcspn(s, "/?#");
    if (!is_host_and_port(s, host))
        return bad(&c, "bad-format", "host or host:port");
    s += host;
    if (!*s || !strcmp(s, "/"))
        return true;
    if (is_cluster)
        return bad(&c, "bad-format", "no database index: a cluster has only one");
    if (*s != '/' || strspn(s + 1, "0123456789") != strlen(s + 1) || strlen(s + 1) > 5)
        return bad(&c, "bad-format", "nothing but a database index in the path");
    return true;
}

static bool check_redis(struct check *c) {
    return config_check_redis(c->arena, c->name, c->value, false, c->report) &&
           store_text(c, c->value);
}

bool config_set(struct arena *a, struct config *config, const struct config_row *row,
                const char *name, const char *value, struct config_report *r) {
    static bool (*const checks[])(struct check *) = {
        [CONFIG_BOOL] = check_bool,     [CONFIG_INT] = check_int,
        [CONFIG_URL] = check_url,       [CONFIG_TEXT] = check_text,
        [CONFIG_SECRET] = check_secret, [CONFIG_ENUM] = check_enum,
        [CONFIG_FILE] = check_file,     [CONFIG_HOST] = check_host,
        [CONFIG_DOMAIN] = check_domain, [CONFIG_EMAIL] = check_email,
        [CONFIG_MONGO] = check_mongo,   [CONFIG_REDIS] = check_redis,
        [CONFIG_BASE64] = check_base64,
    };
    struct check c = {a, config, row, name, value, r};

    return checks[row->type](&c);
}
