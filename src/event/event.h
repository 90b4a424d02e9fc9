/*
 * event.h - events that the host application sends: their types and subscriptions.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

struct arena;
struct deps;
struct http_router;

/* The public address that takes events under a webhook key. */
const char *event_webhook_uri(const struct deps *deps, struct arena *a, const char *key);

void event_routes(struct http_router *r);

#endif
