/*
 * service_preflight.h - the checks of `membrane preflight`: a row of the table in
 * service_preflight.c each.
 */
#ifndef SERVICE_SERVICE_PREFLIGHT_H
#define SERVICE_SERVICE_PREFLIGHT_H

#include <stdint.h>

#include "service_priv.h"

enum preflight_result {
    PREFLIGHT_OK,
    PREFLIGHT_WARN,
    PREFLIGHT_SKIP, /* nothing is configured that it could try */
    PREFLIGHT_FAIL,
};

struct preflight {
    struct service service; /* config, clock, rand, http; what checks open is closed */
    struct arena *arena;
    int64_t skew_ms;     /* of the clock that differs most */
    const char *skew_of; /* whose; NULL: no clock was seen */
};

/*
 * Each gives its result and says why in *ret_note (living in p->arena), which is "" where
 * there is nothing to say.
 */
typedef enum preflight_result preflight_check(struct preflight *p, const char **ret_note);

/* The note of a failure; gives PREFLIGHT_FAIL. */
enum preflight_result preflight_fail(struct preflight *p, const char **ret_note,
                                     const struct status *st);
/* Remembers what an answer's Date says about the clocks. NULL date: nothing. */
void preflight_saw_date(struct preflight *p, const char *whose, const char *date);

/* service_preflight_public.c: names, addresses, mail, sign-in. */
preflight_check preflight_sign_in;
preflight_check preflight_mail;
preflight_check preflight_names;
preflight_check preflight_addresses;

#endif
