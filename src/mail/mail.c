/*
 * One mail over SMTP, by libcurl: text and HTML as alternatives, both in base64, so that
 * no line of a text can be a line of the protocol.
 */
#include "mail.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"

enum { CONNECT_TIMEOUT_S = 10, TIMEOUT_S = 30, MAX_HEADER_TEXT = 500 };

bool mail_is_configured(const struct config *c) {
    return c->smtp_host && c->email_from;
}

/* ---- Headers ---- */

static bool is_plain(const char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e || *s == '"' ||
            *s == '\\')
            return false;
    return true;
}

/* As it is, or as an encoded word of RFC 2047. */
static const char *header_text(struct arena *a, const char *s) {
    size_t len = strlen(s);
    char *out;

    if (is_plain(s))
        return s;
    out = arena_alloc(a, 4 * ((len + 2) / 3) + 1);
    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)s, (int)len);
    return arena_printf(a, "=?UTF-8?B?%s?=", out);
}

static const char *date_text(struct arena *a) {
    char text[64];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
    return arena_strdup(a, text);
}

/* An address that can't leave its place in a header or a command. */
static int check_address(const char *what, const char *s, struct status *st) {
    if (!s || !*s || strlen(s) > MAX_HEADER_TEXT || strpbrk(s, "<>\r\n\t ,;\"\\"))
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s is no mail address", what);
    return 0;
}

static struct curl_slist *headers_of(const struct config *c, struct arena *a,
                                     const struct mail *m) {
    const char *lines[] = {
        arena_printf(a, "From: \"%s\" <%s>", header_text(a, c->email_from_name),
                     c->email_from),
        arena_printf(a, "To: <%s>", m->to),
        arena_printf(a, "Subject: %s", header_text(a, m->subject)),
        arena_printf(a, "Date: %s", date_text(a)),
        arena_printf(a, "Message-ID: <%s%s>", token_new(rand_system(), a, 18),
                     strchr(c->email_from, '@')),
        "Auto-Submitted: auto-generated",
    };
    struct curl_slist *list = NULL;

    if (!is_plain(c->email_from_name)) /* an encoded word stands without quotes */
        lines[0] = arena_printf(a, "From: %s <%s>", header_text(a, c->email_from_name),
                                c->email_from);
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        list = curl_slist_append(list, lines[i]);
    return list;
}

/* ---- The HTML form ---- */

static void add_escaped(struct buf *b, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        switch (s[i]) {
        case '<':
            buf_addf(b, "&lt;");
            break;
        case '>':
            buf_addf(b, "&gt;");
            break;
        case '&':
            buf_addf(b, "&amp;");
            break;
        case '"':
            buf_addf(b, "&quot;");
            break;
        case '\n':
            buf_addf(b, "<br>\n");
            break;
        default:
            buf_addc(b, s[i]);
        }
}

static void add_html(struct buf *b, const char *text) {
    buf_addf(b, "<!doctype html>\n<html><body style=\"font-family: sans-serif\"><p>");
    while (*text) {
        const char *link = strstr(text, "http://"), *tls = strstr(text, "https://");

        if (!link || (tls && tls < link))
            link = tls;
        if (!link) {
            add_escaped(b, text, strlen(text));
            break;
        }
        size_t len = strcspn(link, " \t\r\n<>\"");
        add_escaped(b, text, (size_t)(link - text));
        buf_addf(b, "<a href=\"");
        add_escaped(b, link, len);
        buf_addf(b, "\">");
        add_escaped(b, link, len);
        buf_addf(b, "</a>");
        text = link + len;
    }
    buf_addf(b, "</p></body></html>\n");
}

/* ---- Sending ---- */

static void add_part(curl_mime *mime, const char *type, const char *data, size_t len) {
    curl_mimepart *part = curl_mime_addpart(mime);

    curl_mime_data(part, data, len);
    curl_mime_type(part, type);
    curl_mime_encoder(part, "base64");
}

static void set_connection(CURL *curl, const struct config *c, struct arena *a) {
    bool needs_tls = c->smtp_user && !c->smtp_allow_plaintext;

    curl_easy_setopt(curl, CURLOPT_URL,
                     arena_printf(a, "%s://%s:%d", c->smtp_secure ? "smtps" : "smtp",
                                  c->smtp_host, (int)c->smtp_port));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL, needs_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY);
    if (c->extra_ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->extra_ca_file);
    if (c->smtp_user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, c->smtp_user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, c->smtp_password);
    }
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
}

/* Keeps the last line by which the server refused something. */
static size_t note_reply(char *data, size_t size, size_t n, void *ctx) {
    struct buf *reply = ctx;
    size_t len = size * n;

    if (len == 0 || (data[0] != '4' && data[0] != '5'))
        return len;
    buf_clear(reply);
    buf_add(reply, data, len < MAX_HEADER_TEXT ? len : MAX_HEADER_TEXT);
    while (reply->len && strchr("\r\n", reply->data[reply->len - 1]))
        reply->data[--reply->len] = '\0';
    return len;
}

static int refused(const struct config *c, CURLcode code, const char *detail,
                   const struct buf *reply, struct status *st) {
    return st_fail(st, ST_CONFIGURATION, "mail_refused",
                   "The mail server %s:%d did not take the mail: %s%s%s", c->smtp_host,
                   (int)c->smtp_port, *detail ? detail : curl_easy_strerror(code),
                   reply->len ? "; it said: " : "", reply->len ? reply->data : "");
}

int mail_send(const struct config *c, struct arena *a, const struct mail *m,
              struct status *st) {
    char detail[CURL_ERROR_SIZE] = "";
    struct buf html = BUF_INIT, reply = BUF_INIT;
    struct curl_slist *headers, *to;
    curl_mime *mime;
    CURLcode code;
    CURL *curl;

    if (!mail_is_configured(c))
        return st_fail(st, ST_CONFIGURATION, NULL, "No mail server is configured");
    if (check_address("EMAIL_FROM", c->email_from, st) < 0 ||
        check_address("the receiver", m->to, st) < 0)
        return -1;
    if (!(curl = curl_easy_init()))
        return st_fail(st, ST_INTERNAL, NULL, "no memory for a mail");
    add_html(&html, m->text);
    headers = headers_of(c, a, m);
    to = curl_slist_append(NULL, m->to);
    mime = curl_mime_init(curl);
    curl_mimepart *both = curl_mime_addpart(mime);
    curl_mime *forms = curl_mime_init(curl);
    add_part(forms, "text/plain; charset=utf-8", m->text, strlen(m->text));
    add_part(forms, "text/html; charset=utf-8", html.data, html.len);
    curl_mime_subparts(both, forms);
    curl_mime_type(both, "multipart/alternative");
    set_connection(curl, c, a);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, c->email_from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, note_reply);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
    code = curl_easy_perform(curl);
    int rc = code == CURLE_OK ? 0 : refused(c, code, detail, &reply, st);
    curl_mime_free(mime);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    curl_slist_free_all(to);
    buf_fini(&html);
    buf_fini(&reply);
    return rc;
}
