#include "mongo_peer.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../cmocka_all.h"

enum { START_TRIES = 5, START_MS = 90000 };

static int free_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static bool answers(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

    close(fd);
    return ok;
}

bool mongo_peer_is_mongod(void) {
    return system("command -v mongod >/dev/null 2>&1") == 0;
}

static void run_mongod(const struct mongo_peer *p, char *port) {
    char *data = strdup(p->dir), pem[128];

    snprintf(pem, sizeof(pem), "%s.pem", p->key);
    if (*p->cert)
        execlp("mongod", "mongod", "--bind_ip", "127.0.0.1", "--port", port, "--dbpath",
               data, "--quiet", "--tlsMode", "requireTLS", "--tlsCertificateKeyFile", pem,
               NULL);
    execlp("mongod", "mongod", "--bind_ip", "127.0.0.1", "--port", port, "--dbpath", data,
           "--quiet", NULL);
}

static void run_peer(const struct mongo_peer *p, char *port, bool memory) {
    static char classes[] = PEERS_DIR "/mongodb:" PEERS_DIR "/mongodb/lib/*";
    char file[80];

    snprintf(file, sizeof(file), "%s/data", p->dir);
    execlp("java", "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
           "-cp", classes, "MongoPeer", port, memory ? "-" : file,
           *p->cert ? p->cert : (char *)NULL, p->key, NULL);
}

/* The child; silent, and gone when its parent is. */
static void become(const struct mongo_peer *p, int in, bool mongod, bool memory) {
    char port[16];

    snprintf(port, sizeof(port), "%d", p->port);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, 0);
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    if (mongod)
        run_mongod(p, port);
    else
        run_peer(p, port, memory);
    _exit(127);
}

/* False when it ended instead of listening. */
static bool launch(struct mongo_peer *p, bool memory) {
    bool mongod = mongo_peer_is_mongod();
    struct timespec pause = {0, 20 * 1000000};
    int in[2], status;

    assert_int_equal(pipe(in), 0);
    p->pid = fork();
    if (p->pid == 0) {
        close(in[1]);
        become(p, in[0], mongod, memory);
    }
    close(in[0]);
    p->stdin_fd = in[1];
    for (int ms = 0; ms < START_MS; ms += 20) {
        if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
            close(p->stdin_fd);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                fail_msg("no MongoDB-protocol server: run scripts/setup");
            return false;
        }
        if (answers(p->port))
            return true;
        nanosleep(&pause, NULL);
    }
    fail_msg("the MongoDB-protocol server does not listen");
    return false;
}

static void start(struct mongo_peer *p, bool durable) {
    signal(SIGPIPE, SIG_IGN);
    strcpy(p->dir, "/tmp/test-mongo-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    for (int i = 0; i < START_TRIES; i++) {
        p->port = free_port();
        if (launch(p, !durable))
            return;
    }
    fail_msg("the MongoDB-protocol server does not start");
}

void mongo_peer_start(struct mongo_peer *p, bool durable) {
    memset(p, 0, sizeof(*p));
    start(p, durable);
}

void mongo_peer_start_tls(struct mongo_peer *p, const char *cert, const char *key) {
    memset(p, 0, sizeof(*p));
    snprintf(p->cert, sizeof(p->cert), "%s", cert);
    snprintf(p->key, sizeof(p->key), "%s", key);
    start(p, false);
}

void mongo_peer_kill(struct mongo_peer *p) {
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    close(p->stdin_fd);
    p->pid = 0;
}

void mongo_peer_restart(struct mongo_peer *p) {
    for (int i = 0; i < START_TRIES; i++)
        if (launch(p, false))
            return;
    fail_msg("the MongoDB-protocol server does not start again");
}

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

void mongo_peer_stop(struct mongo_peer *p) {
    if (p->pid)
        mongo_peer_kill(p);
    nftw(p->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

const char *mongo_peer_uri(const struct mongo_peer *p, const char *db) {
    static char text[8][160];
    static unsigned at;
    char *out = text[at++ % 8];

    snprintf(out, sizeof(text[0]), "mongodb://127.0.0.1:%d/%s", p->port, db);
    return out;
}
