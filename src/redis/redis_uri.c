/*
 * redis_uri.c - redis[s]://[user][:password]@host[:port][/database]
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "redis_priv.h"

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when empty, or when a percent sign isn't followed by two digits. */
static const char *decode(struct arena *a, const char *s, size_t len, bool *ret_bad) {
    char *text = arena_alloc(a, len + 1), *p = text;

    for (size_t i = 0; i < len; i++)
        if (s[i] != '%') {
            *p++ = s[i];
        } else if (i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            *p++ = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            *ret_bad = true;
            return NULL;
        }
    *p = '\0';
    if (strlen(text) != (size_t)(p - text))
        *ret_bad = true; /* %00 */
    return p > text ? text : NULL;
}

/* All of it digits; -1 otherwise. */
static int number(const char *s, int max) {
    int n = 0;

    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -1;
        n = n * 10 + *s - '0';
        if (n > max)
            return -1;
    }
    return n;
}

/* host, host:port, [::1]:port; cuts s to the host. */
static bool host_and_port(char *s, struct redis_uri *u) {
    char *stop;

    if (*s == '[') {
        s++;
        if (!(stop = strchr(s, ']')))
            return false;
        *stop++ = '\0';
    } else {
        stop = s + strcspn(s, ":");
    }
    if (*stop && *stop != ':')
        return false;
    u->port = *stop ? number(stop + 1, 65535) : 6379;
    *stop = '\0';
    u->host = s;
    return *s && strcspn(s, " \t\r\n") == strlen(s) && u->port > 0;
}

int redis_uri_parse(struct arena *a, const char *text, struct redis_uri *ret,
                    struct status *st) {
    struct redis_uri u = {.is_tls = !strncmp(text, "rediss://", 9)};
    const char *s = text + (u.is_tls ? 9 : 8), *end, *at, *colon;
    bool bad = !u.is_tls && strncmp(text, "redis://", 8) != 0;

    if (!bad) {
        end = s + strcspn(s, "/?#");
        if ((at = memrchr(s, '@', (size_t)(end - s)))) {
            colon = memchr(s, ':', (size_t)(at - s));
            u.user = decode(a, s, (size_t)((colon ? colon : at) - s), &bad);
            if (colon)
                u.password = decode(a, colon + 1, (size_t)(at - colon - 1), &bad);
            s = at + 1;
        }
        bad = bad || !host_and_port(arena_memdup(a, s, (size_t)(end - s)), &u);
        if (*end == '/' && end[1]) {
            u.database = number(end + 1, 99999);
            bad = bad || u.database < 0;
        } else {
            bad = bad || (*end && *end != '/');
        }
    }
    if (bad)
        return st_fail(st, ST_CONFIGURATION, "bad-format",
                       "not an address of Redis: redis://user:password@host:port/0, or "
                       "rediss:// with TLS");
    *ret = u;
    return 0;
}
