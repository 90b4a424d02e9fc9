/*
 * redis_conn.c - one connection: TCP or TLS, logged in, with a deadline on every step.
 *
 * The socket never blocks; who must wait does so in poll(2). What is wrong is said in the
 * words that an operator needs: unreachable, auth-failed, certificate not trusted, server
 * speaks TLS. Only resolving a name has no deadline but the resolver's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "redis_priv.h"

enum { MAX_REPLY_ITEMS = 2000000 };

struct redis_conn {
    int fd;
    SSL *ssl; /* NULL: plain */
    struct redisReader *reader;
    struct redis_sink sink;
    size_t reply_bytes, max_reply_bytes; /* of the reply that is being read */
    bool got_any;                        /* the server has said something */
    const char *what_if_silent;
};

int64_t redis_now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int unavailable(struct status *st, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static int unavailable(struct status *st, const char *fmt, ...) {
    va_list ap;

    va_start(ap, fmt);
    st_vfail(st, ST_INTERNAL, "unavailable", fmt, ap);
    va_end(ap);
    return -1;
}

/* ---- Waiting ---- */

/* 0 ready, 1 wake_fd is readable, -1 too late. */
static int await(int fd, short events, int wake_fd, int64_t deadline_ms,
                 struct status *st) {
    struct pollfd p[2] = {{.fd = fd, .events = events},
                          {.fd = wake_fd, .events = POLLIN}};
    int64_t left;
    int n;

    do {
        left = deadline_ms - redis_now_ms();
        if (left < 0)
            left = 0;
        n = poll(p, 2, left > 60000 ? 60000 : (int)left);
    } while ((n < 0 && errno == EINTR) || (n == 0 && redis_now_ms() < deadline_ms));
    if (n <= 0)
        return unavailable(st, "no answer in time");
    return p[1].revents ? 1 : 0;
}

/* ---- TCP ---- */

static int connect_one(const struct addrinfo *ai, int64_t deadline_ms, int *ret_fd,
                       struct status *st) {
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, error = 0, idle_s = 30, interval_s = 10, probes = 3;
    socklen_t len = sizeof(error);

    if (fd < 0)
        return unavailable(st, "unreachable: %s", strerror(errno));
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
        error = errno;
        if (error == EINPROGRESS) {
            if (await(fd, POLLOUT, -1, deadline_ms, st) < 0) {
                close(fd);
                st_clear(st);
                return unavailable(st, "unreachable: no answer in time");
            }
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        }
    }
    if (error) {
        close(fd);
        return unavailable(st, "unreachable: %s", strerror(error));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    *ret_fd = fd;
    return 0;
}

static int connect_any(const struct redis_target *t, int64_t deadline_ms, int *ret_fd,
                       struct status *st) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list, *ai;
    char port[16];
    int rc;

    snprintf(port, sizeof(port), "%d", t->port);
    rc = getaddrinfo(t->host, port, &hints, &list);
    if (rc == EAI_ADDRFAMILY || rc == EAI_NONAME || rc == EAI_NODATA) {
        hints.ai_flags = 0; /* a machine with nothing but its loopback */
        rc = getaddrinfo(t->host, port, &hints, &list);
    }
    if (rc)
        return unavailable(st, "unreachable: %s", gai_strerror(rc));
    rc = -1;
    for (ai = list; ai && rc < 0; ai = ai->ai_next) {
        st_clear(st);
        rc = connect_one(ai, deadline_ms, ret_fd, st);
    }
    freeaddrinfo(list);
    return rc;
}

/* ---- TLS ---- */

static bool is_address(const char *host) {
    unsigned char out[16];

    return inet_pton(AF_INET, host, out) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

/*
 * The name that the certificate must carry. A cluster names its nodes by address, for
 * which certificates are rarely made: then the seed's name will do, as the same operator
 * vouches for both.
 */
static bool expect_name(SSL *ssl, const struct redis_target *t) {
    bool by_address = is_address(t->host);
    const char *seed = t->seed_host && !is_address(t->seed_host) ? t->seed_host : NULL;
    const char *name = by_address ? seed : t->host;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!name)
        return X509_VERIFY_PARAM_set1_ip_asc(param, t->host) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           (!seed || X509_VERIFY_PARAM_add1_host(param, seed, 0) == 1);
}

static int tls_failed(const struct redis_conn *c, struct status *st) {
    long verify = SSL_get_verify_result(c->ssl);
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    if (verify != X509_V_OK)
        return unavailable(st, "certificate not trusted: %s",
                           X509_verify_cert_error_string(verify));
    if (reason && (strstr(reason, "wrong version") || strstr(reason, "packet length")))
        return unavailable(st, "the server does not speak TLS: use redis:// instead of "
                               "rediss://");
    if (!reason)
        return unavailable(st, "the server closed the connection during the TLS "
                               "handshake; if it speaks no TLS, use redis://");
    return unavailable(st, "TLS: %s", reason);
}

/* What an operation on ssl that gave rc waits for: 0 ready, 1 woken, -1. */
static int tls_await(struct redis_conn *c, int rc, int wake_fd, int64_t deadline_ms,
                     bool *ret_failed, struct status *st) {
    int e = SSL_get_error(c->ssl, rc);

    if (e == SSL_ERROR_WANT_READ)
        return await(c->fd, POLLIN, wake_fd, deadline_ms, st);
    if (e == SSL_ERROR_WANT_WRITE)
        return await(c->fd, POLLOUT, wake_fd, deadline_ms, st);
    *ret_failed = true;
    return -1;
}

static int tls_start(struct redis_conn *c, const struct redis_target *t,
                     int64_t deadline_ms, struct status *st) {
    bool failed = false;
    int rc;

    ERR_clear_error();
    c->ssl = SSL_new(t->tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        abort();
    if (!t->skip_tls_verify && !expect_name(c->ssl, t))
        return unavailable(st, "the name %s can't be checked", t->host);
    SSL_set_verify(c->ssl, t->skip_tls_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    while ((rc = SSL_connect(c->ssl)) != 1)
        if (tls_await(c, rc, -1, deadline_ms, &failed, st) < 0) {
            if (failed)
                return tls_failed(c, st);
            st_clear(st);
            return unavailable(st, "no answer to the TLS handshake in time; if the "
                                   "server speaks no TLS, use redis://");
        }
    return 0;
}

/* ---- Bytes ---- */

static int lost(struct redis_conn *c, const char *why, struct status *st) {
    if (!c->got_any && c->what_if_silent)
        return unavailable(st, "%s; %s", why, c->what_if_silent);
    return unavailable(st, "%s", why);
}

int redis_conn_send(struct redis_conn *c, struct bytes data, int64_t deadline_ms,
                    bool *ret_sent, struct status *st) {
    size_t at = 0, n;
    bool failed = false;
    ssize_t rc;

    while (at < data.len) {
        n = data.len - at;
        if (n > 1 << 20)
            n = 1 << 20;
        if (c->ssl) {
            ERR_clear_error();
            rc = SSL_write(c->ssl, data.data + at, (int)n);
        } else {
            rc = send(c->fd, data.data + at, n, MSG_NOSIGNAL);
        }
        if (rc > 0) {
            *ret_sent = true;
            at += (size_t)rc;
        } else if (c->ssl) {
            if (tls_await(c, (int)rc, -1, deadline_ms, &failed, st) < 0)
                return failed ? lost(c, "the connection broke", st) : -1;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (await(c->fd, POLLOUT, -1, deadline_ms, st) < 0)
                return -1;
        } else if (errno != EINTR) {
            return lost(c, strerror(errno), st);
        }
    }
    return 0;
}

/* Some bytes into buf: their number, 0 woken, -1. */
static ssize_t receive_some(struct redis_conn *c, char *buf, size_t max,
                            int64_t deadline_ms, int wake_fd, struct status *st) {
    bool failed = false;
    ssize_t n;
    int rc = 0;

    for (;;) {
        if (c->ssl) {
            ERR_clear_error();
            n = SSL_read(c->ssl, buf, (int)max);
        } else {
            n = recv(c->fd, buf, max, 0);
        }
        if (n > 0)
            return n;
        if (c->ssl) {
            rc = tls_await(c, (int)n, wake_fd, deadline_ms, &failed, st);
            if (failed)
                return lost(c, "the server closed the connection", st);
        } else if (n == 0) {
            return lost(c, "the server closed the connection", st);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            rc = await(c->fd, POLLIN, wake_fd, deadline_ms, st);
        } else if (errno != EINTR) {
            return lost(c, strerror(errno), st);
        }
        if (rc)
            return rc < 0 ? -1 : 0;
    }
}

int redis_conn_receive(struct redis_conn *c, struct arena *a, int64_t deadline_ms,
                       int wake_fd, const struct redis_reply **ret, struct status *st) {
    char buf[16384];
    void *reply = NULL;
    ssize_t n;

    c->sink = (struct redis_sink){.arena = a, .items_left = MAX_REPLY_ITEMS};
    for (;;) {
        if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
            return unavailable(st, "not an answer of Redis: %s", c->reader->errstr);
        if (reply) {
            *ret = reply;
            c->reply_bytes = 0;
            return 0;
        }
        n = receive_some(c, buf, sizeof(buf), deadline_ms, wake_fd, st);
        if (n <= 0)
            return n < 0 ? -1 : 1;
        if (!c->got_any && !c->ssl && (buf[0] == 0x15 || buf[0] == 0x16))
            return unavailable(st, "the server speaks TLS: use rediss:// instead of "
                                   "redis://");
        c->got_any = true;
        c->reply_bytes += (size_t)n;
        if (c->reply_bytes > c->max_reply_bytes)
            return unavailable(st, "the answer is longer than %zu bytes",
                               c->max_reply_bytes);
        if (redisReaderFeed(c->reader, buf, (size_t)n) != REDIS_OK)
            return unavailable(st, "not an answer of Redis: %s", c->reader->errstr);
    }
}

bool redis_conn_is_fresh(struct redis_conn *c) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    /* TLS 1.3 sends session tickets unasked: SSL_peek takes them in */
    if (poll(&p, 1, 0) == 0)
        return true;
    if (c->ssl) {
        char byte;
        int rc;

        ERR_clear_error();
        rc = SSL_peek(c->ssl, &byte, 1);
        return rc <= 0 && SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_READ;
    }
    return false;
}

/* ---- Opening ---- */

void redis_format(struct buf *b, const struct bytes *args, size_t n) {
    const char *words[64];
    size_t lens[64];
    const char **w = n <= 64 ? words : malloc(n * sizeof(*w));
    size_t *l = n <= 64 ? lens : malloc(n * sizeof(*l));
    char *text;
    int len;

    if (!w || !l)
        abort();
    for (size_t i = 0; i < n; i++) {
        w[i] = args[i].data ? args[i].data : "";
        l[i] = args[i].len;
    }
    len = redisFormatCommandArgv(&text, (int)n, w, l);
    if (len < 0)
        abort();
    buf_add(b, text, (size_t)len);
    free(text);
    if (w != words)
        free(w);
    if (l != lens)
        free(l);
}

static void add_words(struct buf *b, const char *const *words) {
    struct bytes args[4];
    size_t n = 0;

    for (; words[n]; n++)
        args[n] = (struct bytes){words[n], strlen(words[n])};
    redis_format(b, args, n);
}

/* Says who we are and takes the database, in one round trip. */
static int log_in(struct redis_conn *c, const struct redis_target *t, int64_t deadline_ms,
                  struct status *st) {
    struct arena *a = arena_new(0);
    const struct redis_reply *reply;
    struct buf b = BUF_INIT;
    int replies = 2, rc;
    bool sent;

    if (t->user && t->password)
        add_words(&b, REDIS_WORDS("AUTH", t->user, t->password));
    else if (t->password)
        add_words(&b, REDIS_WORDS("AUTH", t->password));
    if (b.len)
        replies++;
    if (t->database) {
        add_words(&b, REDIS_WORDS("SELECT", arena_printf(a, "%d", t->database)));
        replies++;
    }
    add_words(&b, REDIS_WORDS("CLIENT", "SETNAME", "membrane")); /* may be forbidden */
    add_words(&b, REDIS_WORDS("PING"));
    rc = redis_conn_send(c, (struct bytes){b.data, b.len}, deadline_ms, &sent, st);
    for (int i = 0; i < replies && rc == 0; i++) {
        rc = redis_conn_receive(c, a, deadline_ms, -1, &reply, st);
        if (rc < 0 || reply->type != REDIS_ERROR || i == replies - 2)
            continue;
        if (strstr(reply->text, "AUTH") || !strncmp(reply->text, "WRONGPASS", 9) ||
            !strncmp(reply->text, "NOPERM", 6))
            rc = unavailable(st, "auth-failed: %s", reply->text);
        else if (strncmp(reply->text, "LOADING", 7) != 0 &&
                 strncmp(reply->text, "MASTERDOWN", 10) != 0)
            rc = unavailable(st, "unreachable: %s", reply->text);
    }
    OPENSSL_cleanse(b.data, b.len);
    buf_fini(&b);
    arena_free(&a);
    return rc;
}

int redis_conn_open(const struct redis_target *t, int64_t deadline_ms,
                    struct redis_conn **ret, struct status *st) {
    struct redis_conn *c;
    int fd = -1, rc;

    if (connect_any(t, deadline_ms, &fd, st) < 0)
        return st_context(st, "Redis at %s:%d", t->host, t->port);
    c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->fd = fd;
    c->max_reply_bytes = t->max_reply_bytes;
    c->reader = redis_reader_new(&c->sink);
    c->what_if_silent =
        t->tls ? NULL : "if it speaks TLS, use rediss:// instead of redis://";
    rc = t->tls ? tls_start(c, t, deadline_ms, st) : 0;
    if (rc == 0)
        rc = log_in(c, t, deadline_ms, st);
    if (rc < 0) {
        redis_conn_close(&c);
        return st_context(st, "Redis at %s:%d", t->host, t->port);
    }
    *ret = c;
    return 0;
}

void redis_conn_close(struct redis_conn **cp) {
    struct redis_conn *c = *cp;

    if (!c)
        return;
    SSL_free(c->ssl);
    close(c->fd);
    redisReaderFree(c->reader);
    free(c);
    *cp = NULL;
}
