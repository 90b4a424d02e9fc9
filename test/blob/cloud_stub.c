#include "cloud_stub.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "http/http.h"

static struct stub *the_stub; /* handlers get no pointer of the test's; one at a time */

static void add_header(void *ctx, const char *name, const char *value) {
    buf_addf(ctx, "%s: %s\n", name, value);
}

static char *request_text(struct request *rq) {
    struct buf b = BUF_INIT;

    buf_addf(&b, "%s %s%s%s\n", http_method_name(rq->method), rq->path,
             *rq->query_text ? "?" : "", rq->query_text);
    request_each_header(rq, add_header, &b);
    buf_addc(&b, '\n');
    buf_add(&b, rq->body.data ? rq->body.data : "", rq->body.len);
    return b.data;
}

static int answer(struct request *rq, struct reply *rp, struct status *st) {
    const char *method = http_method_name(rq->method);
    struct stub *s = the_stub;

    (void)st;
    pthread_mutex_lock(&s->mu);
    for (size_t i = 0; i < s->rules_len; i++) {
        const struct stub_rule *r = &s->rules[i];

        if (strcmp(r->method, method) != 0 ||
            strncmp(r->path, rq->path, strlen(r->path)) != 0 ||
            (r->times && s->seen[i] >= r->times))
            continue;
        s->seen[i]++;
        free(s->last[i]);
        s->last[i] = request_text(rq);
        if (r->header)
            reply_header(rp, r->header, r->value);
        reply_text(rp, r->status ? r->status : 200, "application/octet-stream",
                   arena_strdup(rq->arena, r->body ? r->body : ""));
        pthread_mutex_unlock(&s->mu);
        return 0;
    }
    pthread_mutex_unlock(&s->mu);
    return reply_text(rp, 404, "text/plain", "no rule");
}

void stub_start(struct stub *s) {
    static const struct route rows[] = {
        {.method = HTTP_ANY,
         .pattern = "/{path*}",
         .handler = answer,
         .flags = ROUTE_RAW_BODY},
    };
    struct http_server_options o = {.max_body_bytes = 64 * 1024 * 1024};

    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->mu, NULL);
    the_stub = s;
    http_test_start(&s->http, rows, 1, &o);
}

void stub_stop(struct stub *s) {
    http_test_stop(&s->http);
    for (size_t i = 0; i < STUB_MAX; i++)
        free(s->last[i]);
    pthread_mutex_destroy(&s->mu);
}

int stub_add(struct stub *s, struct stub_rule rule) {
    int n;

    pthread_mutex_lock(&s->mu);
    n = (int)s->rules_len++;
    if (n >= STUB_MAX)
        abort();
    s->rules[n] = rule;
    pthread_mutex_unlock(&s->mu);
    return n;
}

void stub_change(struct stub *s, int rule, int status, const char *body) {
    pthread_mutex_lock(&s->mu);
    s->rules[rule].status = status;
    s->rules[rule].body = body;
    pthread_mutex_unlock(&s->mu);
}

int stub_seen(struct stub *s, int rule) {
    int n;

    pthread_mutex_lock(&s->mu);
    n = s->seen[rule];
    pthread_mutex_unlock(&s->mu);
    return n;
}

const char *stub_last(struct stub *s, int rule, struct arena *a) {
    const char *text;

    pthread_mutex_lock(&s->mu);
    text = arena_strdup(a, s->last[rule] ? s->last[rule] : "");
    pthread_mutex_unlock(&s->mu);
    return text;
}

const char *stub_uri(struct stub *s, struct arena *a) {
    return arena_printf(a, "http://127.0.0.1:%d", s->http.port);
}
