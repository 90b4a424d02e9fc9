/*
 * connection_page.c - the page on which connecting ends: it hands the result to the
 * window that opened it and closes itself (api.md 8.4).
 *
 * Any page of any customer may frame or open it, and the message may go to any origin:
 * who opened it is not known here, and there is no secret in it. Whatever comes from
 * outside stands in it only as JSON whose markup characters are escaped, or as escaped
 * text.
 */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "connection_priv.h"
#include "deps/deps.h"
#include "http/http.h"
#include "value/value.h"

/* JSON inside <script>: no byte of it may look like markup or end a line. */
static void add_script_json(struct buf *b, const struct value *v) {
    struct buf json = BUF_INIT;

    value_encode(&json, v, VALUE_ENCODE_COMPACT);
    for (size_t i = 0; i < json.len; i++) {
        unsigned char c = (unsigned char)json.data[i];

        if (c == '<' || c == '>' || c == '&')
            buf_addf(b, "\\u%04x", c);
        else if (c == 0xe2 && i + 2 < json.len &&
                 (unsigned char)json.data[i + 1] == 0x80 &&
                 ((unsigned char)json.data[i + 2] & 0xfe) == 0xa8) {
            buf_addf(b, "\\u20%02x", (unsigned char)json.data[i + 2] - 0x80);
            i += 2;
        } else
            buf_addc(b, (char)c);
    }
    buf_fini(&json);
}

static void add_text(struct buf *b, const char *s) {
    for (; *s; s++) {
        if (strchr("<>&\"'", *s))
            buf_addf(b, "&#%d;", *s);
        else
            buf_addc(b, *s);
    }
}

static const char script[] =
    ";\n"
    "var framed = window.parent !== window;\n"
    "var host = window.opener || (framed ? window.parent : null);\n"
    "if (host) host.postMessage(message, '*');\n"
    "if (!framed) setTimeout(function () { window.close(); }, 300);\n";

/* no_forms: forms of the page may not be sent; where they may, the answer's redirect to
 * another site must not be held up, which browsers do under any form-action. */
static void begin_page(struct request *rq, struct reply *rp, struct buf *b,
                       const char *nonce, bool no_forms) {
    buf_addf(b,
             "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n"
             "<title>Connecting</title>\n"
             "<style nonce=\"%s\">body { font: 16px/1.5 system-ui, sans-serif; margin: "
             "4em auto; max-width: 30em; padding: 0 1em; text-align: center; color: "
             "#222; overflow-wrap: anywhere } button { font: inherit; width: 100%%; "
             "margin: .5em 0; padding: .6em; cursor: pointer }</style>\n<p>",
             nonce);
    reply_header(rp, "Content-Security-Policy",
                 arena_printf(rq->arena,
                              "default-src 'none'; script-src 'nonce-%s'; style-src "
                              "'nonce-%s'; base-uri 'none'%s",
                              nonce, nonce, no_forms ? "; form-action 'none'" : ""));
    reply_header(rp, "Cache-Control", "no-store");
    reply_header(rp, "Referrer-Policy", "no-referrer");
    reply_header(rp, "X-Content-Type-Options", "nosniff");
}

int connection_page(struct request *rq, struct reply *rp, int status,
                    const struct value *message, const char *text) {
    const char *nonce = token_new(rq->deps->rand, rq->arena, 16);
    struct buf b = BUF_INIT;

    begin_page(rq, rp, &b, nonce, true);
    add_text(&b, text);
    buf_addf(&b, "</p>\n<script nonce=\"%s\">\nvar message = ", nonce);
    add_script_json(&b, message);
    buf_adds(&b, script);
    buf_adds(&b, "</script>\n</html>\n");
    reply_bytes(rp, status, "text/html; charset=utf-8", buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}

/* One form per option, which posts the same payload with the option's key. */
static void add_choice(struct buf *b, struct arena *a, const struct value *payload,
                       const struct value *option) {
    const struct value *key = value_get(option, "key");
    const char *title = value_get_string(option, "title", NULL);
    struct bytes text =
        value_encode_arena(a, value_with(a, payload, "authOptionKey", key), 0);

    if (!value_is_string(key))
        return;
    buf_adds(b, "<form method=\"post\"><input type=\"hidden\" name=\"payload\" value=\"");
    add_text(b, text.data);
    buf_adds(b, "\"><button>");
    add_text(b, title && *title ? title : key->str);
    buf_adds(b, "</button></form>\n");
}

int connection_choice_page(struct request *rq, struct reply *rp,
                           const struct value *payload, const struct value *options) {
    const char *nonce = token_new(rq->deps->rand, rq->arena, 16);
    struct buf b = BUF_INIT;

    begin_page(rq, rp, &b, nonce, false);
    buf_adds(&b, "How do you want to connect?</p>\n");
    for (VALUE_EACH_ITEM(o, options))
        add_choice(&b, rq->arena, payload, o);
    buf_adds(&b, "</html>\n");
    reply_bytes(rp, 200, "text/html; charset=utf-8", buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}
