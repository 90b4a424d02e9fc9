/*
 * Mails on their way: a task holds {sealed}, the mail sealed to a name of its own.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/crypto_seal.h"
#include "deps/deps.h"
#include "mail.h"
#include "value/value.h"

static const char record[] = "mail"; /* what the text is sealed to */

int mail_put(const struct deps *deps, const struct mail *m, struct status *st) {
    struct arena *a = arena_new(0);
    const struct value *content =
        value_obj(a, "to", value_string(a, m->to), "subject", value_string(a, m->subject),
                  "text", value_string(a, m->text), NULL);
    const char *sealed = crypto_seal(deps->sealer, a, record, content);
    int rc =
        queue_put(deps->queue,
                  &(struct queue_task){
                      .kind = MAIL_TASK,
                      .payload = value_obj(a, "sealed", value_string(a, sealed), NULL),
                  },
                  st);

    arena_free(&a);
    return rc < 0 ? -1 : 0;
}

enum queue_result mail_task_run(struct queue_run *r, struct status *st) {
    const struct value *content;
    struct mail m;

    if (crypto_unseal(r->deps->sealer, r->arena, record,
                      value_get_string(r->payload, "sealed", ""), &content, st) < 0)
        return QUEUE_GIVEN_UP;
    m = (struct mail){
        .to = value_get_string(content, "to", ""),
        .subject = value_get_string(content, "subject", ""),
        .text = value_get_string(content, "text", ""),
    };
    return mail_send(r->deps->config, r->arena, &m, st) < 0 ? QUEUE_FAILED : QUEUE_DONE;
}
