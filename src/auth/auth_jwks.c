/*
 * Key sets behind a workspace's jwksUri. An address is FRESH for ten minutes after a
 * fetch; then the next who asks fetches it again while others use what there is. After a
 * failure nobody tries for half a minute. The address was written by a workspace, so it
 * is fetched as a user's call is: public addresses only, no redirects, bounded in size.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth_oidc.h"
#include "auth_priv.h"
#include "base/arena.h"
#include "base/status.h"
#include "crypto/crypto_jws.h"
#include "http/http_client.h"
#include "value/value.h"

enum {
    FRESH_MS = 10 * 60 * 1000,
    UNKNOWN_KID_MS = 60 * 1000,
    FAILED_MS = 30 * 1000,
    FETCH_TIMEOUT_MS = 5000,
    MAX_ANSWER = 256 * 1024,
    MAX_KEYS = 64,
    MAX_URIS = 128,
};

struct jwks_entry {
    char *uri; /* NULL: free */
    struct key_set *set;
    int64_t fetched_ms;     /* monotonic */
    int64_t no_try_till_ms; /* after a failure */
    bool is_fetching;
};

struct jwks_cache {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t fetched;
    struct jwks_entry entry[MAX_URIS];
    unsigned next; /* the place to reuse when all are taken */
};

struct jwks_cache *jwks_cache_new(void) {
    struct jwks_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->fetched, NULL);
    return c;
}

void key_set_unref(struct key_set **s) {
    if (*s && atomic_fetch_sub(&(*s)->refs, 1) == 1) {
        for (size_t i = 0; i < (*s)->keys_len; i++)
            crypto_key_unref(&(*s)->keys[i]);
        free((*s)->keys);
        free(*s);
    }
    *s = NULL;
}

static void entry_clear(struct jwks_entry *e) {
    free(e->uri);
    key_set_unref(&e->set);
    *e = (struct jwks_entry){0};
}

void jwks_cache_free(struct jwks_cache **c) {
    if (!*c)
        return;
    for (int i = 0; i < MAX_URIS; i++)
        entry_clear(&(*c)->entry[i]);
    pthread_cond_destroy(&(*c)->fetched);
    pthread_mutex_destroy(&(*c)->lock);
    free(*c);
    *c = NULL;
}

/* NULL only when every place is busy fetching. */
static struct jwks_entry *find_entry(struct jwks_cache *c, const char *uri) {
    struct jwks_entry *place = NULL;

    for (int i = 0; i < MAX_URIS; i++) {
        if (c->entry[i].uri && !strcmp(c->entry[i].uri, uri))
            return &c->entry[i];
        if (!c->entry[i].uri && !place)
            place = &c->entry[i];
    }
    for (int i = 0; i < MAX_URIS && !place; i++) {
        struct jwks_entry *e = &c->entry[c->next++ % MAX_URIS];

        if (!e->is_fetching)
            place = e;
    }
    if (place) {
        entry_clear(place);
        place->uri = strdup(uri);
    }
    return place;
}

static bool has_kid(const struct key_set *s, const char *kid) {
    if (!kid)
        return true;
    for (size_t i = 0; i < s->keys_len; i++) {
        const char *id = crypto_key_id(s->keys[i]);

        if (!id || !strcmp(id, kid))
            return true;
    }
    return false;
}

static struct key_set *parse_set(const struct value *keys) {
    struct key_set *s = calloc(1, sizeof(*s));

    if (!s || !(s->keys = calloc(MAX_KEYS, sizeof(*s->keys))))
        abort();
    s->refs = 1;
    for (VALUE_EACH_ITEM(jwk, keys))
        if (s->keys_len < MAX_KEYS &&
            crypto_key_from_jwk(jwk, &s->keys[s->keys_len]) == 0)
            s->keys_len++;
    return s;
}

int auth_fetch(struct auth *auth, struct arena *a, const char *uri, int reach,
               struct bytes *ret_body, struct status *st) {
    struct http_header accept = {"Accept", "application/json"};
    struct http_call call = {.method = "GET",
                             .url = uri,
                             .headers = &accept,
                             .headers_len = 1,
                             .reach = (enum http_reach)reach,
                             .timeout_ms = FETCH_TIMEOUT_MS,
                             .connect_timeout_ms = FETCH_TIMEOUT_MS,
                             .max_answer_bytes = MAX_ANSWER};
    struct http_answer answer;

    if (auth->o.fetch)
        return auth->o.fetch(auth->o.fetch_ctx, a, uri, ret_body, st);
    if (!auth->o.http)
        return st_fail(st, ST_INTERNAL, "unavailable", "No HTTP client");
    if (http_client_call(auth->o.http, a, &call, &answer, st) < 0)
        return -1;
    if (answer.status != 200)
        return st_fail(st, ST_INTERNAL, "unavailable", "HTTP status %d", answer.status);
    *ret_body = answer.body;
    return 0;
}

/* NULL when it could not be fetched or is no key set. */
static struct key_set *fetch(struct auth *auth, const char *uri) {
    static const struct value_limits limits = {.max_depth = 16, .max_bytes = MAX_ANSWER};
    struct arena *a = arena_new(0);
    const struct value *doc;
    struct key_set *s = NULL;
    /* The provider of people's sign-in is the operator's choice, not a workspace's. */
    int reach = auth_oidc_is_key_uri(auth, uri) ? HTTP_REACH_ANY : HTTP_REACH_PUBLIC;
    struct bytes body;
    struct status st;

    st_init(&st, a);
    if (auth_fetch(auth, a, uri, reach, &body, &st) == 0 && body.len <= MAX_ANSWER &&
        value_parse(a, body.data, body.len, &limits, &doc, &st) == 0 &&
        value_is_array(value_get(doc, "keys")))
        s = parse_set(value_get(doc, "keys"));
    arena_free(&a);
    return s;
}

/* Called with the lock held, which is let go during the fetch. */
static void refresh(struct auth *auth, struct jwks_entry *e) {
    struct jwks_cache *c = auth->jwks;
    struct key_set *s;

    e->is_fetching = true; /* keeps the place ours */
    pthread_mutex_unlock(&c->lock);
    s = fetch(auth, e->uri);
    pthread_mutex_lock(&c->lock);
    e->is_fetching = false;
    if (s) {
        key_set_unref(&e->set);
        e->set = s;
        e->fetched_ms = auth_monotonic_ms(auth);
    } else {
        e->no_try_till_ms = auth_monotonic_ms(auth) + FAILED_MS;
    }
    pthread_cond_broadcast(&c->fetched);
}

static bool wants_fetch(const struct jwks_entry *e, const char *kid, int64_t now) {
    if (e->is_fetching || now < e->no_try_till_ms)
        return false;
    if (!e->set || now - e->fetched_ms >= FRESH_MS)
        return true;
    return !has_kid(e->set, kid) && now - e->fetched_ms >= UNKNOWN_KID_MS;
}

int jwks_get(struct auth *auth, const char *uri, const char *kid,
             struct key_set **ret_set, struct status *st) {
    struct jwks_cache *c = auth->jwks;
    struct jwks_entry *e;
    struct key_set *s = NULL;

    pthread_mutex_lock(&c->lock);
    e = find_entry(c, uri);
    if (e && wants_fetch(e, kid, auth_monotonic_ms(auth)))
        refresh(auth, e);
    /* Somebody else is at it, and there is nothing to go by meanwhile. */
    while (e && e->is_fetching && !e->set) {
        pthread_cond_wait(&c->fetched, &c->lock);
        e = find_entry(c, uri);
    }
    if (e && e->set) {
        s = e->set;
        atomic_fetch_add(&s->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    if (!s)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The workspace's key set can't be fetched at present");
    *ret_set = s;
    return 0;
}
