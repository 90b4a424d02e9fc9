/*
 * mail.h - messages to people, over the operator's mail server (SMTP_*).
 *
 * A mail that somebody waits for is sent at once; all others are instant tasks with five
 * tries. Their texts hold links that sign people in, so they are sealed while they wait.
 */
#ifndef MAIL_MAIL_H
#define MAIL_MAIL_H

#include <stdbool.h>

#include "queue/queue.h"

struct arena;
struct config;
struct deps;
struct status;

/* Plain UTF-8; borrowed. Addresses in the text become links of the HTML form. */
struct mail {
    const char *to, *subject, *text;
};

bool mail_is_configured(const struct config *c);
/*
 * Hands one mail to the server and waits, at most 30 s. Credentials go over an encrypted
 * link only, unless SMTP_ALLOW_PLAINTEXT; certificates are checked. -1
 * configuration/"mail_refused" with the server's reply.
 */
int mail_send(const struct config *c, struct arena *a, const struct mail *m,
              struct status *st);

/* The kind of task, for the table that queue_open() gets: name and handler. */
#define MAIL_TASK "send-mail"
enum queue_result mail_task_run(struct queue_run *r, struct status *st);
/* 0: it is durable and will be sent. */
int mail_put(const struct deps *deps, const struct mail *m, struct status *st);

#endif
