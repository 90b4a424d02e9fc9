/*
 * `membrane up`: everything on this machine. A supervisor that opens nothing itself
 * starts children, tells the world once all of them are healthy, starts a crashed one
 * again and passes a signal on to end them.
 *
 *     STARTING --ready--> RUNNING --exit--> WAITING --pause over--> STARTING
 *
 * A child that ends before it was ever ready ends the whole: its message is the answer.
 * Children are forked, not executed: the configuration is there already and the start
 * costs a millisecond. They are process groups of their own, so that Ctrl-C reaches them
 * once, through the supervisor; the kernel kills them should the supervisor die.
 *
 * UI and console are in the core's process: a process of its own is for another privilege
 * or another way to fail, as the code runner is.
 */
#include "service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "config/config.h"
#include "service_priv.h"
#include "value/value.h"

enum {
    PORTS = 4, /* API, UI, console, code runner */
    FIRST_PAUSE_MS = 100,
    LONGEST_PAUSE_MS = 10000,
    STEADY_MS = 60000, /* after so long a run the next pause is the first again */
};

struct up {
    struct arena *arena;
    const char *data_dir, *bootstrap_file;
    int port;
    const struct config *config;
    struct log_ctx log;
    sigset_t old_signals;
    int signal_fd;
    bool announced, stopping;
    int status; /* to end with */
};

struct child {
    const char *name;
    int (*run)(struct up *up, int ready_fd);
    bool optional; /* the rest runs without it */
    bool failed;   /* and does: it ended before it was ever ready */
    pid_t pid;     /* 0: not running */
    int ready_fd;
    struct buf said; /* what came through ready_fd */
    bool ready;
    int64_t started_ms,
        start_at_ms; /* start_at_ms: when to start again; 0: not waiting */
    int pause_ms;
};

static const char *uri_of(struct up *up, int offset) {
    return arena_printf(up->arena, "http://127.0.0.1:%d", up->port + offset);
}

/* ---- The children ---- */

static int run_core(struct up *up, int ready_fd) {
    struct config c = *up->config;

    c.services &= ~(unsigned)SERVICE_CODE_RUNNER;
    return service_run(&(struct service_options){
        .config = &c,
        .ui_port = up->port + 1,
        .console_port = up->port + 2,
        .owns_data = true,
        .ready_fd = ready_fd,
    });
}

static int run_code_runner(struct up *up, int ready_fd) {
    struct config c = *up->config;

    c.services = SERVICE_CODE_RUNNER;
    c.port = up->port + 3;
    c.metrics_port = 0;
    return service_run(&(struct service_options){.config = &c, .ready_fd = ready_fd});
}

static void start(struct up *up, struct child *c) {
    int fds[2];
    pid_t parent = getpid();

    if (pipe2(fds, O_CLOEXEC) < 0 || (c->pid = fork()) < 0) {
        log_error(&up->log, "can't start a child", "child=%s err=%s", c->name,
                  strerror(errno));
        exit(EX_OSERR);
    }
    if (c->pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EX_TEMPFAIL); /* it died before the line above */
        close(fds[0]);
        close(up->signal_fd);
        sigprocmask(SIG_SETMASK, &up->old_signals, NULL);
        exit(c->run(up, fds[1]));
    }
    close(fds[1]);
    c->ready_fd = fds[0];
    c->ready = false;
    c->start_at_ms = 0;
    buf_clear(&c->said);
    c->started_ms = clock_monotonic_ms(clock_system());
}

/* ---- What is told ---- */

/* Readers see the whole file or none: it gets its name when it is complete. */
static int write_bootstrap(struct up *up, const struct value *v) {
    const char *tmp = arena_printf(up->arena, "%s.%d", up->bootstrap_file, (int)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct buf b = BUF_INIT;
    bool good;

    value_encode(&b, v, VALUE_ENCODE_INDENT_2);
    buf_addc(&b, '\n');
    good = fd >= 0 && write(fd, b.data, b.len) == (ssize_t)b.len && fsync(fd) == 0 &&
           rename(tmp, up->bootstrap_file) == 0;
    if (!good)
        log_error(&up->log, "can't write the bootstrap file", "file=%s err=%s",
                  up->bootstrap_file, strerror(errno));
    if (fd >= 0)
        close(fd);
    buf_fini(&b);
    return good ? 0 : -1;
}

static void announce(struct up *up, const struct child *core, const char *runner_uri) {
    const struct config *c = up->config;
    struct arena *a = up->arena;
    const struct value *known = &value_empty_object, *all;
    struct status st;

    st_init(&st, a);
    if (core->said.len)
        value_parse(a, core->said.data, core->said.len, NULL, &known, &st);
    all = value_merge(a,
                      value_obj(a, "apiUri", value_string(a, c->base_uri), "uiUri",
                                value_string(a, c->ui_uri), "consoleUri",
                                value_string(a, c->console_uri), "runnerUri",
                                runner_uri ? value_string(a, runner_uri) : &value_null,
                                NULL),
                      known);
    printf("\nMembrane %s is running.\n\n  API      %s\n  UI       %s\n  Console  %s\n"
           "  Data     %s\n",
           MEMBRANE_VERSION, c->base_uri, c->ui_uri, c->console_uri, up->data_dir);
    if (value_is_string(value_get(known, "adminUri")))
        printf("\n  First administrator: %s\n", value_text(value_get(known, "adminUri")));
    printf("\n");
    fflush(stdout);
    if (up->bootstrap_file && write_bootstrap(up, all) < 0)
        up->status = EX_CANTCREAT;
    up->announced = true;
}

/* ---- Supervision ---- */

static void read_ready(struct child *c) {
    char part[4096];
    ssize_t n = read(c->ready_fd, part, sizeof(part));

    if (n > 0 && c->said.len < 65536) {
        buf_add(&c->said, part, (size_t)n);
        return;
    }
    close(c->ready_fd); /* ready closes it after a line; a crash without one */
    c->ready_fd = -1;
    c->ready = c->said.len && c->said.data[c->said.len - 1] == '\n';
}

static void on_exit_of(struct up *up, struct child *c, int wait_status) {
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EX_SOFTWARE;
    int64_t now = clock_monotonic_ms(clock_system());

    c->pid = 0;
    if (c->ready_fd >= 0)
        close(c->ready_fd);
    c->ready_fd = -1;
    c->ready = false;
    if (up->stopping)
        return;
    c->failed = true;
    if (!up->announced && !c->optional) {
        up->status = code ? code : EX_SOFTWARE;
        up->stopping = true;
        return;
    }
    if (now - c->started_ms >= STEADY_MS || !c->pause_ms)
        c->pause_ms = FIRST_PAUSE_MS;
    else if ((c->pause_ms *= 2) > LONGEST_PAUSE_MS)
        c->pause_ms = LONGEST_PAUSE_MS;
    c->start_at_ms = now + c->pause_ms;
    log_error(&up->log, "a child ended; it is started again",
              "child=%s exitStatus=%d signal=%d pauseMs=%d", c->name, code,
              WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0, c->pause_ms);
}

static void kill_all(struct child *children, size_t n, int sig) {
    for (size_t i = 0; i < n; i++)
        if (children[i].pid)
            kill(children[i].pid, sig);
}

static void on_signal(struct up *up, struct child *children, size_t n) {
    struct signalfd_siginfo info;
    bool was_stopping = up->stopping;
    pid_t pid;
    int wait_status;

    if (read(up->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo != SIGCHLD) {
        /* The second one ends everything at once. */
        kill_all(children, n, up->stopping ? SIGKILL : SIGTERM);
        up->stopping = true;
        return;
    }
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
        for (size_t i = 0; i < n; i++)
            if (children[i].pid == pid)
                on_exit_of(up, &children[i], wait_status);
    if (up->stopping && !was_stopping) /* a second one would cut their drain off */
        kill_all(children, n, SIGTERM);
}

/* Starts what is due; gives the time to the next start, -1 for none. */
static int start_due(struct up *up, struct child *children, size_t n) {
    int64_t now = clock_monotonic_ms(clock_system()), next = -1;

    for (size_t i = 0; i < n && !up->stopping; i++) {
        struct child *c = &children[i];

        if (!c->start_at_ms)
            continue;
        if (c->start_at_ms <= now)
            start(up, c);
        else if (next < 0 || c->start_at_ms - now < next)
            next = c->start_at_ms - now;
    }
    return (int)next;
}

static bool any_running(const struct child *children, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (children[i].pid)
            return true;
    return false;
}

static bool all_ready(const struct child *children, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!children[i].ready && !children[i].failed)
            return false;
    return true;
}

static void supervise(struct up *up) {
    struct child children[] = {
        {.name = "core", .run = run_core, .ready_fd = -1, .said = BUF_INIT},
        {.name = "code-runner",
         .run = run_code_runner,
         .optional = true,
         .ready_fd = -1,
         .said = BUF_INIT},
    };
    size_t n = sizeof(children) / sizeof(*children);

    start(up, &children[0]);
    while (!up->stopping || any_running(children, n)) {
        struct pollfd fds[1 + sizeof(children) / sizeof(*children)];
        int timeout_ms = start_due(up, children, n);

        fds[0] = (struct pollfd){up->signal_fd, POLLIN, 0};
        for (size_t i = 0; i < n; i++)
            fds[i + 1] = (struct pollfd){children[i].ready_fd, POLLIN, 0};
        if (poll(fds, n + 1, timeout_ms) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < n; i++)
            if (fds[i + 1].revents)
                read_ready(&children[i]);
        if (fds[0].revents)
            on_signal(up, children, n);
        /* The core answers first: starting Node beside it would only slow it down. */
        if (children[0].ready && !children[1].started_ms && !up->stopping)
            start(up, &children[1]);
        if (!up->announced && !up->stopping && all_ready(children, n))
            announce(up, &children[0], children[1].ready ? uri_of(up, 3) : NULL);
        if (up->status && !up->stopping) {
            up->stopping = true;
            kill_all(children, n, SIGTERM);
        }
    }
    for (size_t i = 0; i < n; i++)
        buf_fini(&children[i].said);
}

/* ---- Preparation ---- */

static bool is_free(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_ANY)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    bool good;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    good = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return good;
}

/* Four free ports in a row, outside of the range the kernel hands out; 0 for none. */
static int free_ports(void) {
    for (int tries = 0; tries < 200; tries++) {
        uint16_t r;
        int port, n = 0;

        rand_system()->fill(rand_system(), &r, sizeof(r));
        port = 10000 + r % 5600 * 4;
        while (n < PORTS && is_free(port + n))
            n++;
        if (n == PORTS)
            return port;
    }
    return 0;
}

static int make_dirs(struct up *up, struct status *st) {
    char *path = arena_strdup(up->arena, up->data_dir);

    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p)
            continue;
        {
            char c = *p;

            *p = '\0';
            if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return st_fail(st, ST_CONFIGURATION, NULL, "can't make %s: %s", path,
                               strerror(errno));
            *p = c;
            if (!c)
                return 0;
        }
    }
}

/* Held as long as the supervisor or a child lives: two must not cache the same data. */
static int lock_data(struct up *up, struct status *st) {
    const char *path = arena_printf(up->arena, "%s/lock", up->data_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return st_fail(st, ST_CONFIGURATION, NULL, "can't open %s: %s", path,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return st_fail(st, ST_INTERNAL, NULL, "%s is in use by another membrane up",
                       up->data_dir);
    return 0;
}

#define PUT(list, n, ...) (list)[(n)++] = arena_printf(up->arena, __VA_ARGS__)

/* 0, or -1 when the report (printed) has an error. */
static int load_config(struct up *up, const char *secret, const char *encryption_secret) {
    const char *line[4] = {0}, *supplied[20] = {0};
    struct config_sources src = {line, (const char *const *)environ, supplied};
    struct config_report report;
    size_t n = 0;
    int rc;

    PUT(line, n, "PORT=%d", up->port);
    PUT(line, n, "DATA_DIR=%s", up->data_dir);
    n = 0;
    PUT(supplied, n, "HOST=127.0.0.1");
    PUT(supplied, n, "BASE_URI=%s", uri_of(up, 0));
    PUT(supplied, n, "UI_URI=%s", uri_of(up, 1));
    PUT(supplied, n, "CONSOLE_URI=%s", uri_of(up, 2));
    PUT(supplied, n, "CUSTOM_CODE_RUNNER_URI=%s", uri_of(up, 3));
    PUT(supplied, n, "NEXT_PUBLIC_ENGINE_URI=%s", uri_of(up, 0));
    PUT(supplied, n, "NEXT_PUBLIC_ENGINE_API_URI=%s", uri_of(up, 0));
    PUT(supplied, n, "NEXT_PUBLIC_ENGINE_UI_URI=%s", uri_of(up, 1));
    PUT(supplied, n, "NEXT_PUBLIC_BASE_URI=%s", uri_of(up, 2));
    PUT(supplied, n, "SECRET=%s", secret);
    PUT(supplied, n, "ENCRYPTION_SECRET=%s", encryption_secret);
    /* Of this start only: nobody but the core gives jobs to the code runner beside it. */
    PUT(supplied, n, "RUNNER_SHARED_SECRET=%s", token_new(rand_system(), up->arena, 32));
    PUT(supplied, n, "SHUTDOWN_DRAIN_DELAY_SECONDS=0"); /* no balancer to tell */
    rc = config_load(up->arena, SERVICE_ALL, &src, &up->config, &report);
    config_report_print(&report, stderr);
    return rc;
}

/* What the environment says for a variable that is needed before the configuration. */
static const struct config *early_config(struct up *up) {
    struct config_sources src = {.environment = (const char *const *)environ};
    struct config_report ignored;
    const struct config *c;

    config_load(up->arena, SERVICE_ALL, &src, &c, &ignored);
    return c;
}

static int prepare(struct up *up, struct status *st) {
    const struct config *early = early_config(up);
    struct service_secrets secrets;

    if (!up->data_dir)
        up->data_dir = early->data_dir ? early->data_dir : "data";
    if (up->port < 0)
        up->port = (int)early->port;
    if (up->port == 0 && (up->port = free_ports()) == 0)
        return st_fail(st, ST_INTERNAL, NULL, "no four free ports in a row");
    if (make_dirs(up, st) < 0)
        return -1;
    up->data_dir = realpath(up->data_dir, NULL);
    if (!up->data_dir)
        return st_fail(st, ST_CONFIGURATION, NULL, "data directory: %s", strerror(errno));
    arena_defer(up->arena, free, (void *)up->data_dir);
    if (lock_data(up, st) < 0 ||
        service_secrets(up->arena, up->data_dir, &secrets, st) < 0)
        return -1;
    if (load_config(up, secrets.secret, secrets.encryption_secret) < 0)
        return st_fail(st, ST_CONFIGURATION, NULL, "the configuration has errors");
    return 0;
}

static int run(struct up *up) {
    struct status st;
    sigset_t signals;

    st_init(&st, up->arena);
    if (prepare(up, &st) < 0) {
        fprintf(stderr, "membrane up: %s\n", st.message);
        return st.type == ST_CONFIGURATION ? EX_CONFIG : EX_TEMPFAIL;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &up->old_signals);
    up->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (up->signal_fd < 0)
        return EX_OSERR;
    up->log = (struct log_ctx){.service = "supervisor"};
    supervise(up);
    close(up->signal_fd);
    return up->status;
}

int up_command(int argc, char **argv) {
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},
        {"port", required_argument, NULL, 'p'},
        {"bootstrap-file", required_argument, NULL, 'b'},
        {0},
    };
    struct up up = {.port = -1};
    int option, status;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char *end = NULL;

        if (option == 'd') {
            up.data_dir = optarg;
        } else if (option == 'b') {
            up.bootstrap_file = optarg;
        } else if (option == 'p') {
            up.port = (int)strtol(optarg, &end, 10);
            if (*end || end == optarg || up.port < 0 || up.port > 65535 - PORTS) {
                fprintf(stderr, "membrane up: --port: a number up to %d, or 0 for any\n",
                        65535 - PORTS);
                return EX_USAGE;
            }
        } else {
            return EX_USAGE;
        }
    }
    if (optind < argc || (up.data_dir && !*up.data_dir)) {
        fprintf(stderr, "membrane up: only options are taken\n");
        return EX_USAGE;
    }
    up.arena = arena_new(0);
    status = run(&up);
    arena_free(&up.arena);
    return status;
}
