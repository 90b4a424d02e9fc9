/*
 * http_address.h - what kind of network an address belongs to, and lists of exceptions.
 */
#ifndef HTTP_HTTP_ADDRESS_H
#define HTTP_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct sockaddr;
struct status;

enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_PRIVATE, /* also loopback, link-local, shared, ULA */
    ADDRESS_SPECIAL, /* multicast, broadcast, reserved, unspecified, documentation */
};

/*
 * IPv6 addresses that carry an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) count
 * as the carried one at best. Families other than IPv4 and IPv6 are ADDRESS_SPECIAL.
 */
enum address_class http_address_class(const struct sockaddr *sa);
/* "10.0.0.1", "2001:db8::1", or "" for other families. */
void http_address_text(const struct sockaddr *sa, char *out, size_t size);
/* As http_address_class for text; ADDRESS_SPECIAL when it is no address. */
enum address_class http_address_class_text(const char *ip);

/* A comma list of CIDR ranges, addresses and host names; "*" holds everything. */
struct address_list;
/* bad_request naming the bad item. Lives in the arena. text may be NULL. */
int http_address_list_parse(struct arena *a, const char *text,
                            const struct address_list **ret_list, struct status *st);
bool http_address_list_has(const struct address_list *l, const struct sockaddr *sa);
/* As http_address_list_has for an address in text; false when it is none. */
bool http_address_list_has_text(const struct address_list *l, const char *ip);
/* Exact, case-insensitive; ".example.org" or "*.example.org" in the list holds every name
 * below it. */
bool http_address_list_has_name(const struct address_list *l, const char *name);

#endif
