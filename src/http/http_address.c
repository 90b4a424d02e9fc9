/*
 * http_address.c - classes of addresses (IANA special-purpose registries) and lists.
 */
#include "http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/status.h"

struct range4 {
    uint32_t net;
    int bits;
    enum address_class class;
};

#define IP4(a, b, c, d)                                                                  \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

static const struct range4 ranges4[] = {
    {IP4(0, 0, 0, 0), 8, ADDRESS_SPECIAL},
    {IP4(10, 0, 0, 0), 8, ADDRESS_PRIVATE},
    {IP4(100, 64, 0, 0), 10, ADDRESS_PRIVATE}, /* carriers; some clouds' metadata */
    {IP4(127, 0, 0, 0), 8, ADDRESS_PRIVATE},
    {IP4(169, 254, 0, 0), 16, ADDRESS_PRIVATE}, /* link-local; metadata services */
    {IP4(172, 16, 0, 0), 12, ADDRESS_PRIVATE},
    {IP4(192, 0, 0, 0), 24, ADDRESS_SPECIAL},
    {IP4(192, 0, 2, 0), 24, ADDRESS_SPECIAL},
    {IP4(192, 88, 99, 0), 24, ADDRESS_SPECIAL},
    {IP4(192, 168, 0, 0), 16, ADDRESS_PRIVATE},
    {IP4(198, 18, 0, 0), 15, ADDRESS_PRIVATE},
    {IP4(198, 51, 100, 0), 24, ADDRESS_SPECIAL},
    {IP4(203, 0, 113, 0), 24, ADDRESS_SPECIAL},
    {IP4(168, 63, 129, 16), 32, ADDRESS_PRIVATE}, /* Azure's host services */
    {IP4(224, 0, 0, 0), 3, ADDRESS_SPECIAL},      /* multicast, reserved, broadcast */
};

static bool in_prefix(const uint8_t *x, const uint8_t *net, int bits) {
    int whole = bits / 8, rest = bits % 8;

    return memcmp(x, net, (size_t)whole) == 0 &&
           (rest == 0 || ((x[whole] ^ net[whole]) & (0xff00 >> rest) & 0xff) == 0);
}

static enum address_class class4(uint32_t ip) {
    for (size_t i = 0; i < sizeof(ranges4) / sizeof(*ranges4); i++)
        if ((ip ^ ranges4[i].net) >> (32 - ranges4[i].bits) == 0)
            return ranges4[i].class;
    return ADDRESS_PUBLIC;
}

static enum address_class class4_bytes(const uint8_t *p) {
    return class4(IP4(p[0], p[1], p[2], p[3]));
}

static enum address_class class6(const uint8_t ip[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zero[12] = {0};
    static const uint8_t translated[12] = {[8] = 0xff, [9] = 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t nat64_local[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
    static const uint8_t protocols[3] = {0x20, 0x01, 0}; /* 2001::/23, with Teredo */
    static const uint8_t documentation[4] = {0x20, 0x01, 0x0d, 0xb8};
    static const uint8_t documentation2[3] = {0x3f, 0xff, 0};

    if (memcmp(ip, zero, 12) == 0 && !(ip[12] | ip[13] | ip[14]))
        return ip[15] == 1 ? ADDRESS_PRIVATE : ADDRESS_SPECIAL;
    if (memcmp(ip, mapped, 12) == 0 || memcmp(ip, zero, 12) == 0 ||
        memcmp(ip, translated, 12) == 0 || memcmp(ip, nat64, 12) == 0)
        return class4_bytes(ip + 12);
    if (memcmp(ip, nat64_local, 6) == 0)
        return ADDRESS_PRIVATE;
    if (ip[0] == 0x20 && ip[1] == 0x02) /* 6to4 */
        return class4_bytes(ip + 2);
    if (in_prefix(ip, protocols, 23) || in_prefix(ip, documentation, 32) ||
        in_prefix(ip, documentation2, 20))
        return ADDRESS_SPECIAL;
    if ((ip[0] & 0xfe) == 0xfc || (ip[0] == 0xfe && (ip[1] & 0x80)))
        return ADDRESS_PRIVATE; /* ULA, link-local, site-local */
    /* Only 2000::/3 is handed out. */
    return (ip[0] & 0xe0) == 0x20 ? ADDRESS_PUBLIC : ADDRESS_SPECIAL;
}

enum address_class http_address_class(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return class4(ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr));
    if (sa->sa_family == AF_INET6)
        return class6(((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr);
    return ADDRESS_SPECIAL;
}

void http_address_text(const struct sockaddr *sa, char *out, size_t size) {
    out[0] = '\0';
    if (sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, out,
                  (socklen_t)size);
    else if (sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, out,
                  (socklen_t)size);
}

enum address_class http_address_class_text(const char *ip) {
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, ip, &four) == 1)
        return class4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, ip, &six) == 1)
        return class6(six.s6_addr);
    return ADDRESS_SPECIAL;
}

/* ---- lists ---- */

struct item {
    struct item *next;
    const char *name; /* or NULL for a range */
    int family;
    int bits;
    uint8_t net[16];
};

struct address_list {
    struct item *first;
    bool all;
};

static int parse_range(char *text, struct item *it, struct status *st) {
    char *slash = strchr(text, '/'), *end;
    int max;
    long bits;

    if (slash)
        *slash = '\0';
    if (inet_pton(AF_INET, text, it->net) == 1)
        it->family = AF_INET, max = 32;
    else if (inet_pton(AF_INET6, text, it->net) == 1)
        it->family = AF_INET6, max = 128;
    else {
        if (slash)
            *slash = '/';
        return 1;
    }
    it->bits = max;
    if (slash) {
        bits = strtol(slash + 1, &end, 10);
        if (end == slash + 1 || *end || bits < 0 || bits > max)
            return st_fail(st, ST_BAD_REQUEST, NULL, "\"%s/%s\" is not an address range",
                           text, slash + 1);
        it->bits = (int)bits;
    }
    return 0;
}

static bool is_host_name(const char *s) {
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789.-_") == strlen(s);
}

int http_address_list_parse(struct arena *a, const char *text,
                            const struct address_list **ret_list, struct status *st) {
    struct address_list *l = arena_zalloc(a, sizeof(*l));
    char *rest = arena_strdup(a, text ? text : ""), *word;

    while ((word = strsep(&rest, ", \t\n"))) {
        struct item *it;
        int rc;

        if (!*word)
            continue;
        if (strcmp(word, "*") == 0) {
            l->all = true;
            continue;
        }
        word += strncmp(word, "*.", 2) == 0;
        it = arena_zalloc(a, sizeof(*it));
        rc = parse_range(word, it, st);
        if (rc < 0)
            return -1;
        if (rc > 0) {
            if (strchr(word, '/') || !is_host_name(word))
                return st_fail(st, ST_BAD_REQUEST, NULL,
                               "\"%s\" is neither an address range nor a host name",
                               word);
            it->name = word;
        }
        it->next = l->first;
        l->first = it;
    }
    *ret_list = l;
    return 0;
}

bool http_address_list_has(const struct address_list *l, const struct sockaddr *sa) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *ip;
    int family = sa->sa_family;

    if (l->all)
        return true;
    if (family == AF_INET)
        ip = (const uint8_t *)&((const struct sockaddr_in *)sa)->sin_addr;
    else if (family == AF_INET6)
        ip = ((const struct sockaddr_in6 *)sa)->sin6_addr.s6_addr;
    else
        return false;
    if (family == AF_INET6 && memcmp(ip, mapped, 12) == 0) {
        family = AF_INET;
        ip += 12;
    }
    for (const struct item *it = l->first; it; it = it->next)
        if (!it->name && it->family == family && in_prefix(ip, it->net, it->bits))
            return true;
    return false;
}

bool http_address_list_has_text(const struct address_list *l, const char *ip) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, ip, &four.sin_addr) == 1)
        return http_address_list_has(l, (struct sockaddr *)&four);
    return inet_pton(AF_INET6, ip, &six.sin6_addr) == 1 &&
           http_address_list_has(l, (struct sockaddr *)&six);
}

bool http_address_list_has_name(const struct address_list *l, const char *name) {
    size_t len = strlen(name);

    if (l->all)
        return true;
    while (len > 0 && name[len - 1] == '.')
        len--;
    for (const struct item *it = l->first; it; it = it->next) {
        size_t n = it->name ? strlen(it->name) : 0;

        if (n == 0 || n > len)
            continue;
        if (it->name[0] == '.' ? strncasecmp(name + len - n, it->name, n) == 0
                               : n == len && strncasecmp(name, it->name, n) == 0)
            return true;
    }
    return false;
}
