/*
 * The field list is walked conversion by conversion: each value is fetched with the type
 * that its conversion names and formatted alone. Formatting the whole list first and
 * splitting the text afterwards would let a value with " x=y" in it forge a field.
 */
#include "log.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"

enum {
    MAX_VALUE_BYTES = 2000, /* a longer value is cut, and says so */
    MAX_DEPTH = 16,         /* of contexts */
};

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};
static const char *const level_words[] = {"DEBUG", "INFO", "WARN", "ERROR", "OFF"};

static struct {
    bool is_set;
    struct log_options o;
} sink; /* written by log_setup() alone, before threads start */

static struct log_options options(void) {
    struct log_options o = sink.o;

    if (!sink.is_set)
        o = (struct log_options){.level = LOG_INFO, .json = !isatty(STDERR_FILENO)};
    if (o.fd == 0)
        o.fd = STDERR_FILENO;
    return o;
}

void log_setup(const struct log_options *o) {
    sink.o = *o;
    sink.is_set = true;
}

int log_level_from_name(const char *name) {
    for (int i = 0; i <= LOG_OFF; i++)
        if (!strcasecmp(name, level_names[i]))
            return i;
    return -1;
}

bool log_is_enabled(enum log_level level) {
    return level >= (sink.is_set ? sink.o.level : LOG_INFO);
}

bool log_name_is_secret(const char *name) {
    static const char *const words[] = {"token",         "secret", "password",
                                        "authorization", "cookie", "credential",
                                        "apikey",        "api_key"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* ---- Values ---- */

/* The end of the user part of an address at s ("user:pass@"), or NULL. */
static const char *userinfo_end(const char *s, const char *end) {
    for (; s < end; s++) {
        if (*s == '@')
            return s;
        if (*s == '/' || *s == '?' || *s == '#' || isspace((unsigned char)*s) ||
            *s == '"' || *s == '\'')
            return NULL;
    }
    return NULL;
}

/* Copies s, with the user parts of addresses masked and overlong text cut. */
static void add_masked(struct buf *b, const char *s, size_t len) {
    const char *end = s + (len > MAX_VALUE_BYTES ? MAX_VALUE_BYTES : len);

    while (s < end) {
        const char *stop;

        buf_addc(b, *s);
        if (*s++ != '/' || b->len < 3 || memcmp(b->data + b->len - 3, "://", 3) != 0)
            continue;
        if ((stop = userinfo_end(s, end)) != NULL) {
            buf_adds(b, "***");
            s = stop;
        }
    }
    if (len > MAX_VALUE_BYTES)
        buf_addf(b, "...(%zu bytes)", len);
}

static void add_json_text(struct buf *b, const char *s, size_t len) {
    buf_addc(b, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\')
            buf_addf(b, "\\%c", c);
        else if (c == '\n')
            buf_adds(b, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_addf(b, "\\u%04x", c);
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

/* Bare when it can be read as one word, else as JSON quotes it. */
static void add_plain_text(struct buf *b, const char *s, size_t len) {
    bool bare = len > 0;

    for (size_t i = 0; i < len && bare; i++) {
        unsigned char c = (unsigned char)s[i];

        bare = c > 0x20 && c != 0x7f && c != '"' && c != '=' && c != '\\';
    }
    if (bare)
        buf_add(b, s, len);
    else
        add_json_text(b, s, len);
}

static void add_text(struct buf *b, bool json, const char *s, size_t len) {
    struct buf masked = BUF_INIT;

    add_masked(&masked, s, len);
    (json ? add_json_text : add_plain_text)(b, masked.data ? masked.data : "",
                                            masked.len);
    buf_fini(&masked);
}

static void add_field(struct buf *b, bool json, const char *name, size_t name_len,
                      const char *text, size_t len, bool is_number) {
    char key[64];

    snprintf(key, sizeof(key), "%.*s", (int)name_len, name);
    if (json)
        buf_addf(b, ",\"%s\":", key);
    else
        buf_addf(b, " %s=", key);
    if (log_name_is_secret(key))
        buf_adds(b, json ? "\"***\"" : "***");
    else if (is_number)
        buf_add(b, text, len);
    else
        add_text(b, json, text, len);
}

/* ---- The field list ---- */

/* One conversion of the list, between its % and the letter that ends it. */
struct conversion {
    char spec[32]; /* "%5.2f", with '*' resolved */
    char letter;
    int longs; /* l: 1, ll: 2, z t j: 3 */
    int precision;
};

static const char *parse_conversion(const char *p, struct conversion *c, va_list *ap) {
    size_t n = 0;

    memset(c, 0, sizeof(*c));
    c->precision = -1;
    c->spec[n++] = *p++; /* % */
    for (; *p && !isalpha((unsigned char)*p); p++) {
        if (*p == '.')
            c->precision = 0;
        else if (c->precision >= 0 && isdigit((unsigned char)*p))
            c->precision = c->precision * 10 + (*p - '0');
        if (*p == '*') {
            int v = va_arg(*ap, int);

            if (c->precision >= 0)
                c->precision = v;
            n += (size_t)snprintf(c->spec + n, sizeof(c->spec) - n, "%d", v);
        } else {
            c->spec[n++] = *p;
        }
        assert(n < sizeof(c->spec) - 8);
    }
    for (; *p && strchr("hlzjt", *p); p++)
        if (*p != 'h')
            c->longs += *p == 'l' ? 1 : 3;
    assert(*p && "a field list ends within a conversion");
    c->letter = *p;
    c->spec[n] = '\0';
    return p + 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void add_integer(struct conversion *c, char out[64], va_list *ap) {
    bool is_signed = c->letter == 'd' || c->letter == 'i';
    size_t n = strlen(c->spec);
    intmax_t v;

    if (c->longs == 0)
        v = is_signed ? va_arg(*ap, int) : (intmax_t)va_arg(*ap, unsigned);
    else if (c->longs == 1)
        v = is_signed ? va_arg(*ap, long) : (intmax_t)va_arg(*ap, unsigned long);
    else
        v = is_signed ? va_arg(*ap, long long)
                      : (intmax_t)va_arg(*ap, unsigned long long);
    snprintf(c->spec + n, sizeof(c->spec) - n, "j%c", c->letter);
    snprintf(out, 64, c->spec, v);
}

static void add_double(struct conversion *c, char out[64], va_list *ap) {
    size_t n = strlen(c->spec);

    snprintf(c->spec + n, sizeof(c->spec) - n, "%c", c->letter);
    snprintf(out, 64, c->spec, va_arg(*ap, double));
}
#pragma GCC diagnostic pop

/* Decimal text that is also a JSON number. */
static bool is_json_number(const char *s) {
    size_t n = strspn(s, "-0123456789.e+");

    return n > 0 && s[n] == '\0' && isdigit((unsigned char)s[n - 1]) && s[0] != '+' &&
           !(s[0] == '0' && isdigit((unsigned char)s[1]));
}

static void add_value(struct buf *b, bool json, const char *name, size_t name_len,
                      struct conversion *c, va_list *ap) {
    char out[64] = "";
    const char *s = out;
    size_t len;

    if (c->letter == 's') {
        s = va_arg(*ap, const char *);
        if (!s)
            return; /* an absent text is an absent field */
        len = c->precision >= 0 ? strnlen(s, (size_t)c->precision) : strlen(s);
        add_field(b, json, name, name_len, s, len, false);
        return;
    }
    if (strchr("diuxXo", c->letter))
        add_integer(c, out, ap);
    else if (strchr("fFgGeEaA", c->letter))
        add_double(c, out, ap);
    else if (c->letter == 'c')
        snprintf(out, sizeof(out), "%c", va_arg(*ap, int));
    else if (c->letter == 'p')
        snprintf(out, sizeof(out), "%p", va_arg(*ap, void *));
    else
        assert(!"a conversion that log fields don't know");
    add_field(b, json, name, name_len, s, strlen(s),
              strchr("diufFgGeE", c->letter) && is_json_number(s));
}

static void add_fields(struct buf *b, bool json, const char *fields, va_list *ap) {
    const char *p = fields;

    for (;;) {
        const char *name, *eq;
        struct conversion c;

        while (*p == ' ')
            p++;
        if (!*p)
            return;
        name = p;
        eq = strchr(p, '=');
        assert(eq && eq[1] == '%' && "a log field is name=%conversion");
        p = parse_conversion(eq + 1, &c, ap);
        assert((*p == ' ' || !*p) && "one conversion a field, a space between fields");
        add_value(b, json, name, (size_t)(eq - name), &c, ap);
    }
}

/* ---- Lines ---- */

#define INHERITED(name)                                                                  \
    static const char *inherited_##name(const struct log_ctx *ctx) {                     \
        for (int depth = 0; ctx && depth < MAX_DEPTH; ctx = ctx->parent, depth++)        \
            if (ctx->name)                                                               \
                return ctx->name;                                                        \
        return NULL;                                                                     \
    }
INHERITED(service)
INHERITED(request_id)
INHERITED(workspace_id)
INHERITED(tenant_id)
INHERITED(job_id)

static void add_context(struct buf *b, bool json, const char *json_name,
                        const char *plain_name, const char *value) {
    if (!value)
        return;
    if (json) {
        buf_addf(b, ",\"%s\":", json_name);
        add_text(b, true, value, strlen(value));
    } else {
        buf_addf(b, " [%s=", plain_name);
        add_text(b, false, value, strlen(value));
        buf_addc(b, ']');
    }
}

static void add_time(struct buf *b) {
    struct timespec now;
    struct tm tm;
    char text[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_addf(b, "%s.%03dZ", text, (int)(now.tv_nsec / 1000000));
}

static void write_all(int fd, const char *s, size_t len) {
    while (len) {
        ssize_t n = write(fd, s, len);

        if (n <= 0)
            return; /* nowhere left to say it */
        s += n;
        len -= (size_t)n;
    }
}

void log_vwrite(const struct log_ctx *ctx, enum log_level level, const char *sentence,
                const char *fields, va_list ap) {
    struct log_options o = options();
    const char *service = inherited_service(ctx);
    struct buf b = BUF_INIT;
    va_list copy;

    if (!service)
        service = o.service ? o.service : "membrane";
    if (o.json) {
        buf_adds(&b, "{\"time\":\"");
        add_time(&b);
        buf_addf(&b,
                 "\",\"level\":\"%s\",\"service\":\"%s\",\"msg\":", level_names[level],
                 service);
        add_json_text(&b, sentence, strlen(sentence));
    } else {
        add_time(&b);
        buf_addf(&b, " %s %s", level_words[level], service);
    }
    add_context(&b, o.json, "requestId", "req", inherited_request_id(ctx));
    add_context(&b, o.json, "workspaceId", "workspace", inherited_workspace_id(ctx));
    add_context(&b, o.json, "tenantId", "tenant", inherited_tenant_id(ctx));
    add_context(&b, o.json, "jobId", "job", inherited_job_id(ctx));
    if (!o.json)
        buf_addf(&b, " %s", sentence);
    va_copy(copy, ap);
    add_fields(&b, o.json, fields, &copy);
    va_end(copy);
    buf_adds(&b, o.json ? "}\n" : "\n");
    write_all(o.fd, b.data, b.len);
    buf_fini(&b);
}

void log_write(const struct log_ctx *ctx, enum log_level level, const char *sentence,
               const char *fields, ...) {
    va_list ap;

    if (!log_is_enabled(level))
        return;
    va_start(ap, fields);
    log_vwrite(ctx, level, sentence, fields, ap);
    va_end(ap);
}
