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

int connection_page(struct request *rq, struct reply *rp, int status,
                    const struct value *message, const char *text) {
    const char *nonce = token_new(rq->deps->rand, rq->arena, 16);
    struct buf b = BUF_INIT;

    buf_addf(&b,
             "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n"
             "<title>Connecting</title>\n"
             "<style nonce=\"%s\">body { font: 16px/1.5 system-ui, sans-serif; margin: "
             "4em auto; max-width: 30em; padding: 0 1em; text-align: center; color: "
             "#222; overflow-wrap: anywhere }</style>\n<p>",
             nonce);
    add_text(&b, text);
    buf_addf(&b, "</p>\n<script nonce=\"%s\">\nvar message = ", nonce);
    add_script_json(&b, message);
    buf_adds(&b, script);
    buf_adds(&b, "</script>\n</html>\n");
    reply_header(rp, "Content-Security-Policy",
                 arena_printf(rq->arena,
                              "default-src 'none'; script-src 'nonce-%s'; style-src "
                              "'nonce-%s'; base-uri 'none'; form-action 'none'",
                              nonce, nonce));
    reply_header(rp, "Cache-Control", "no-store");
    reply_header(rp, "Referrer-Policy", "no-referrer");
    reply_header(rp, "X-Content-Type-Options", "nosniff");
    reply_bytes(rp, status, "text/html; charset=utf-8", buf_to_arena(&b, rq->arena));
    buf_fini(&b);
    return 0;
}
