#include "redis_peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "redis/redis.h"

#define PASSWORD         "pa/ss:w@rd"
#define PASSWORD_ENCODED "pa%2Fss%3Aw%40rd"

enum { NODES_MAX = 4, ARGS_MAX = 40 };

struct redis_peer {
    enum redis_form form;
    char dir[64];
    int nodes;
    bool is_new;
    int port[NODES_MAX], bus[NODES_MAX];
    pid_t pid[NODES_MAX];
    char uri[NODES_MAX][128], ca[128];
};

int64_t redis_peer_now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void redis_peer_nap(void) {
    nanosleep(&(struct timespec){0, 10 * 1000000}, NULL);
}

static int listen_any(int *ret_port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    socklen_t len = sizeof(a);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 64), 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int connect_to(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr = {htonl(INADDR_LOOPBACK)},
                            .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int free_port(void) {
    int port, fd = listen_any(&port);

    close(fd);
    return port;
}

static void run(const char *const *argv, const char *dir) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        if (chdir(dir) == 0)
            execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void make_certificates(struct redis_peer *p) {
    static const char script[] =
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout "
        "ca.key"
        " -out ca.pem && openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout"
        " server.key -out server.csr && printf subjectAltName=DNS:localhost >ext &&"
        " openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
        "-days 2"
        " -extfile ext -out server.pem";

    run((const char *const[]){"sh", "-c", script, NULL}, p->dir);
    snprintf(p->ca, sizeof(p->ca), "%s/ca.pem", p->dir);
}

static bool answers(const struct redis_peer *p, int node) {
    int fd = connect_to(p->port[node]);

    if (fd < 0)
        return false;
    close(fd);
    if (p->form == REDIS_FORM_TLS)
        return true;
    {
        char answer[64];

        redis_peer_say(p, node, "PING", answer, sizeof(answer));
        return !strncmp(answer, "+PONG", 5);
    }
}

static void choose_ports(struct redis_peer *p, int node) {
    p->port[node] = free_port();
    p->bus[node] = free_port();
    if (p->form == REDIS_FORM_TLS)
        snprintf(p->uri[node], sizeof(p->uri[node]), "rediss://:%s@localhost:%d",
                 PASSWORD_ENCODED, p->port[node]);
    else
        snprintf(p->uri[node], sizeof(p->uri[node]), "redis://127.0.0.1:%d",
                 p->port[node]);
}

static void spawn(struct redis_peer *p, int node) {
    char port[16], bus[16], name[32];
    const char *args[ARGS_MAX] = {"redis-server", "--bind", "127.0.0.1", "--save", "",
                                  "--appendonly", "no",     "--dir",     p->dir};
    int n = 9;

    snprintf(port, sizeof(port), "%d", p->port[node]);
    snprintf(bus, sizeof(bus), "%d", p->bus[node]);
    snprintf(name, sizeof(name), "nodes-%d.conf", node);
#define ADD(...)                                                                         \
    do {                                                                                 \
        const char *more[] = {__VA_ARGS__};                                              \
        for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++)                        \
            args[n++] = more[i];                                                         \
    } while (0)
    if (p->form == REDIS_FORM_TLS)
        ADD("--port", "0", "--tls-port", port, "--tls-cert-file", "server.pem",
            "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem",
            "--tls-auth-clients", "no", "--requirepass", PASSWORD);
    else
        ADD("--port", port);
    if (p->form == REDIS_FORM_CLUSTER)
        ADD("--cluster-enabled", "yes", "--cluster-config-file", name, "--cluster-port",
            bus, "--cluster-node-timeout", "2000", "--cluster-replica-validity-factor",
            "0", "--repl-diskless-sync-delay", "0");
#undef ADD
    p->pid[node] = fork();
    assert_true(p->pid[node] >= 0);
    if (p->pid[node] == 0) {
        int null = open("/dev/null", O_RDWR);

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashed leaves none behind */
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        if (chdir(p->dir) == 0)
            execvp(args[0], (char *const *)args);
        _exit(127);
    }
}

/* Somebody may have taken the port meanwhile: then again, at first on another one. */
void redis_peer_start(struct redis_peer *p, int node) {
    for (int i = 0; i < 50; i++) {
        bool died = false;

        spawn(p, node);
        REDIS_AWAIT((died = waitpid(p->pid[node], NULL, WNOHANG) > 0) ||
                    answers(p, node));
        if (!died)
            return;
        p->pid[node] = 0;
        if (p->is_new)
            choose_ports(p, node);
        redis_peer_nap();
    }
    fail_msg("redis-server does not start");
}

void redis_peer_kill(struct redis_peer *p, int node) {
    if (p->pid[node] <= 0)
        return;
    kill(p->pid[node], SIGKILL);
    waitpid(p->pid[node], NULL, 0);
    p->pid[node] = 0;
}

void redis_peer_say(const struct redis_peer *p, int node, const char *command,
                    char *answer, size_t max) {
    int fd = connect_to(p->port[node]);
    struct pollfd w = {.fd = fd, .events = POLLIN};
    ssize_t n = 0;

    *answer = '\0';
    if (fd < 0)
        return;
    if (dprintf(fd, "%s\r\n", command) > 0 && poll(&w, 1, 20000) == 1)
        n = read(fd, answer, max - 1);
    answer[n > 0 ? n : 0] = '\0';
    close(fd);
}

static struct redis_peer *make(enum redis_form form, int nodes) {
    struct redis_peer *p = calloc(1, sizeof(*p));

    signal(SIGPIPE, SIG_IGN); /* as the service does */
    p->form = form;
    p->nodes = nodes;
    snprintf(p->dir, sizeof(p->dir), "/tmp/membrane-redis-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    if (form == REDIS_FORM_TLS)
        make_certificates(p);
    p->is_new = true;
    for (int i = 0; i < nodes; i++) {
        choose_ports(p, i);
        redis_peer_start(p, i);
    }
    p->is_new = false;
    return p;
}

struct redis_peer *redis_peer_single(void) {
    return make(REDIS_FORM_SINGLE, 1);
}

struct redis_peer *redis_peer_tls(void) {
    return make(REDIS_FORM_TLS, 1);
}

static bool answer_has(const struct redis_peer *p, int node, const char *command,
                       const char *text) {
    char answer[8192];

    redis_peer_say(p, node, command, answer, sizeof(answer));
    return strstr(answer, text) != NULL;
}

struct redis_peer *redis_peer_cluster(void) {
    struct redis_peer *p = make(REDIS_FORM_CLUSTER, NODES_MAX);
    static const char *const ranges[] = {"0 5460", "5461 10922", "10923 16383"};
    char text[256], answer[512], id[64];

    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof(text), "CLUSTER ADDSLOTSRANGE %s", ranges[i]);
        redis_peer_say(p, i, text, answer, sizeof(answer));
        assert_memory_equal(answer, "+OK", 3);
        snprintf(text, sizeof(text), "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
        redis_peer_say(p, i, text, answer, sizeof(answer));
    }
    for (int i = 1; i < p->nodes; i++) {
        snprintf(text, sizeof(text), "CLUSTER MEET 127.0.0.1 %d %d", p->port[i],
                 p->bus[i]);
        redis_peer_say(p, 0, text, answer, sizeof(answer));
        assert_memory_equal(answer, "+OK", 3);
    }
    for (int i = 0; i < p->nodes; i++)
        REDIS_AWAIT(answer_has(p, i, "CLUSTER INFO", "cluster_known_nodes:4") &&
                    answer_has(p, i, "CLUSTER INFO", "cluster_slots_ok:16384"));
    redis_peer_say(p, 0, "CLUSTER MYID", answer, sizeof(answer));
    assert_memory_equal(answer, "$40", 3);
    snprintf(id, sizeof(id), "%.40s", strchr(answer, '\n') + 1);
    snprintf(text, sizeof(text), "CLUSTER REPLICATE %s", id);
    REDIS_AWAIT(answer_has(p, 3, text, "+OK"));
    REDIS_AWAIT(answer_has(p, 3, "INFO replication", "master_link_status:up"));
    for (int i = 0; i < p->nodes; i++)
        REDIS_AWAIT(answer_has(p, i, "CLUSTER INFO", "cluster_state:ok"));
    return p;
}

void redis_peer_await_failover(struct redis_peer *p) {
    REDIS_AWAIT(answer_has(p, 3, "ROLE", "master"));
    for (int i = 1; i < p->nodes; i++)
        REDIS_AWAIT(answer_has(p, i, "CLUSTER INFO", "cluster_state:ok"));
}

void redis_peer_free(struct redis_peer **pp) {
    struct redis_peer *p = *pp;

    if (!p)
        return;
    for (int i = 0; i < p->nodes; i++)
        redis_peer_kill(p, i);
    run((const char *const[]){"rm", "-rf", p->dir, NULL}, "/");
    free(p);
    *pp = NULL;
}

int redis_peer_port(const struct redis_peer *p, int node) {
    return p->port[node];
}

const char *redis_peer_uri(const struct redis_peer *p, int node) {
    return p->uri[node];
}

const char *redis_peer_ca_file(const struct redis_peer *p) {
    return p->ca;
}

struct redis_peer *redis_peer_new(enum redis_form form) {
    return form == REDIS_FORM_TLS       ? redis_peer_tls()
           : form == REDIS_FORM_CLUSTER ? redis_peer_cluster()
                                        : redis_peer_single();
}

struct redis *redis_peer_open(const struct redis_peer *p) {
    const char *seeds[] = {p->uri[0], p->uri[1]};
    struct arena *a = arena_new(0);
    struct redis *r = NULL;
    struct status st;

    st_init(&st, a);
    if (redis_open(&(struct redis_options){.uri = p->uri[0],
                                           .cluster_uris = seeds,
                                           .cluster_uris_len =
                                               p->form == REDIS_FORM_CLUSTER ? 2 : 0,
                                           .ca_file = *p->ca ? p->ca : NULL,
                                           .timeout_ms = 20000},
                   &r, &st) < 0)
        fail_msg("%s", st.message);
    arena_free(&a);
    return r;
}

/* ---- The proxy ---- */

struct redis_proxy {
    int listener, port, to_port;
    pthread_t thread;
    atomic_int fault;
    atomic_bool is_ending;
};

enum { PAIRS_MAX = 256 };

/* client, server; one thread serves them all. */
struct pair {
    int fd[2];
};

static void drop(struct pair *pairs, int *len, int i) {
    close(pairs[i].fd[0]);
    close(pairs[i].fd[1]);
    pairs[i] = pairs[--*len];
}

/* false: the pair is over. */
static bool pass(struct redis_proxy *p, struct pair *pair, int from) {
    char buf[65536];
    int fault = atomic_load(&p->fault);
    ssize_t n = read(pair->fd[from], buf, fault == REDIS_FAULT_SLOW ? 1 : sizeof(buf));

    if (n <= 0)
        return false;
    if (fault == REDIS_FAULT_HANG)
        return true;
    if (fault == REDIS_FAULT_MIDWAY && from == 1)
        return false;
    if (fault == REDIS_FAULT_SLOW)
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    return write(pair->fd[!from], buf, (size_t)n) == n;
}

static void *proxy_main(void *arg) {
    struct redis_proxy *p = arg;
    struct pair pairs[PAIRS_MAX];
    int len = 0;

    while (!atomic_load(&p->is_ending)) {
        struct pollfd w[2 * PAIRS_MAX + 1];

        if (atomic_load(&p->fault) == REDIS_FAULT_CUT)
            while (len)
                drop(pairs, &len, 0);
        for (int i = 0; i < len; i++)
            for (int side = 0; side < 2; side++)
                w[2 * i + side] =
                    (struct pollfd){.fd = pairs[i].fd[side], .events = POLLIN};
        w[2 * len] =
            (struct pollfd){.fd = len < PAIRS_MAX ? p->listener : -1, .events = POLLIN};
        if (poll(w, (nfds_t)(2 * len + 1), 20) <= 0)
            continue;
        if (w[2 * len].revents) {
            int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
            int server =
                atomic_load(&p->fault) == REDIS_FAULT_CUT ? -1 : connect_to(p->to_port);

            if (server < 0) {
                close(client);
                continue; /* w no longer fits pairs */
            }
            pairs[len++] = (struct pair){{client, server}};
            continue;
        }
        for (int i = len - 1; i >= 0; i--)
            for (int side = 0; side < 2; side++)
                if (w[2 * i + side].revents && !pass(p, &pairs[i], side)) {
                    drop(pairs, &len, i);
                    break;
                }
    }
    while (len)
        drop(pairs, &len, 0);
    return NULL;
}

struct redis_proxy *redis_proxy_new(int to_port) {
    struct redis_proxy *p = calloc(1, sizeof(*p));

    p->to_port = to_port;
    p->listener = listen_any(&p->port);
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_main, p), 0);
    return p;
}

int redis_proxy_port(const struct redis_proxy *p) {
    return p->port;
}

void redis_proxy_set(struct redis_proxy *p, enum redis_fault fault) {
    atomic_store(&p->fault, fault);
}

void redis_proxy_free(struct redis_proxy **pp) {
    struct redis_proxy *p = *pp;

    if (!p)
        return;
    atomic_store(&p->is_ending, true);
    pthread_join(p->thread, NULL);
    close(p->listener);
    free(p);
    *pp = NULL;
}
