/*
 * The seccomp program by itself: a child takes it on and makes the calls that an escape
 * would need. S121.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/runner_priv.h"

enum { REACHED = 99, NO_FILTER = 98 };

static void put_on_filter(void) {
    int fd = runner_filter_fd();
    struct stat s;
    struct sock_fprog p;

    if (fd < 0 || fstat(fd, &s) < 0)
        _exit(NO_FILTER);
    p.len = (unsigned short)((size_t)s.st_size / sizeof(*p.filter));
    p.filter = malloc((size_t)s.st_size);
    if (!p.filter || pread(fd, p.filter, (size_t)s.st_size, 0) != s.st_size ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
        _exit(NO_FILTER);
}

/* The exit status of a filtered child that calls: errno, REACHED, or 128 + signal. */
static int outcome(long (*attempt)(void)) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        long rc;

        put_on_filter();
        errno = 0;
        rc = attempt();
        _exit(rc < 0 ? errno : REACHED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static long do_open(void) {
    return open("/etc/passwd", O_RDONLY);
}
static long do_openat2(void) {
    return syscall(SYS_openat2, -100, "/etc/passwd", NULL, 0);
}
static long do_create(void) {
    return open("/tmp/membrane-escape", O_CREAT | O_WRONLY, 0600);
}
static long do_readlink(void) {
    char b[64];

    return readlink("/proc/self/exe", b, sizeof(b));
}
static long do_symlink(void) {
    return symlink("/etc/passwd", "/tmp/membrane-escape");
}
static long do_stat(void) {
    struct stat s;

    return syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &s, 0);
}
static long do_socket(void) {
    return socket(AF_INET, SOCK_STREAM, 0);
}
static long do_socket_unix(void) {
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}
static long do_netlink(void) {
    return socket(AF_NETLINK, SOCK_RAW, 0);
}
static long do_fork(void) {
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}
static long do_vfork(void) {
    return syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
}
static long do_namespace(void) {
    return syscall(SYS_clone, CLONE_THREAD | CLONE_NEWUSER, 0, 0, 0, 0);
}
static long do_kill(void) {
    return kill(getppid(), 0);
}
static long do_tgkill(void) {
    return syscall(SYS_tgkill, getppid(), getppid(), SIGTERM);
}
static long do_pidfd(void) {
    return syscall(SYS_pidfd_open, getppid(), 0);
}
static long do_prlimit(void) {
    struct rlimit r;

    return prlimit(getppid(), RLIMIT_NOFILE, NULL, &r);
}
static long do_nnp(void) {
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static long do_setuid(void) {
    return setuid(0);
}
static long do_memfd(void) {
    return memfd_create("x", 0);
}
static long do_shm(void) {
    return syscall(SYS_shmget, 1, 4096, 0600);
}
static long do_seccomp(void) {
    return syscall(SYS_seccomp, 0, 0, NULL);
}
static long do_exec(void) {
    char *argv[] = {"true", NULL}, *envp[] = {NULL};

    return execve("/bin/true", argv, envp);
}
static long do_ptrace(void) {
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}
static long do_vm_read(void) {
    char b[8];
    struct iovec l = {b, 8}, r = {(void *)0x1000, 8};

    return process_vm_readv(getppid(), &l, 1, &r, 1, 0);
}
static long do_keyctl(void) {
    return syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}
static long do_bpf(void) {
    return syscall(SYS_bpf, 0, NULL, 0);
}
static long do_mount(void) {
    return syscall(SYS_mount, "none", "/", NULL, 0, NULL);
}
static long do_unshare(void) {
    return unshare(CLONE_NEWUSER);
}
static long do_userfaultfd(void) {
    return syscall(SYS_userfaultfd, 0);
}
static long do_uring(void) {
    return syscall(SYS_io_uring_setup, 8, NULL);
}
static long do_uring_enter(void) {
    return syscall(SYS_io_uring_enter, 3, 0, 0, 0, NULL, 0);
}
static long do_clone3(void) {
    return syscall(SYS_clone3, NULL, 0);
}

struct attempt {
    const char *name;
    long (*call)(void);
    int wanted;
};

static void check(const struct attempt *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int got = outcome(list[i].call);

        if (got != list[i].wanted)
            fail_msg("%s: got %d, not %d", list[i].name, got, list[i].wanted);
    }
}

#define CHECK(list) check(list, sizeof(list) / sizeof(*(list)))

static void no_path_can_be_opened_read_or_made(void **state) {
    static const struct attempt list[] = {
        {"open", do_open, EPERM},       {"openat2", do_openat2, EPERM},
        {"create", do_create, EPERM},   {"readlink", do_readlink, EPERM},
        {"symlink", do_symlink, EPERM}, {"stat", do_stat, EPERM},
        {"memfd", do_memfd, EPERM},
    };

    (void)state;
    CHECK(list);
}

static void no_socket_can_be_made(void **state) {
    static const struct attempt list[] = {
        {"inet", do_socket, EPERM},
        {"unix", do_socket_unix, EPERM},
        {"netlink", do_netlink, EPERM},
    };

    (void)state;
    CHECK(list);
}

static void no_process_can_be_made_or_touched(void **state) {
    static const struct attempt list[] = {
        {"fork", do_fork, EPERM},
        {"vfork", do_vfork, EPERM},
        {"clone into a namespace", do_namespace, EPERM},
        {"clone3", do_clone3, ENOSYS},
        {"kill", do_kill, EPERM},
        {"tgkill", do_tgkill, EPERM},
        {"pidfd", do_pidfd, EPERM},
        {"prlimit of another", do_prlimit, EPERM},
        {"shared memory", do_shm, EPERM},
        {"exec", do_exec, 128 + SIGSYS},
        {"ptrace", do_ptrace, 128 + SIGSYS},
        {"process_vm_readv", do_vm_read, 128 + SIGSYS},
    };

    (void)state;
    CHECK(list);
}

static void no_right_comes_back(void **state) {
    static const struct attempt list[] = {
        {"dumpable", do_nnp, EPERM},
        {"setuid", do_setuid, EPERM},
        {"seccomp", do_seccomp, EPERM},
        {"mount", do_mount, 128 + SIGSYS},
        {"unshare", do_unshare, 128 + SIGSYS},
        {"keyring", do_keyctl, 128 + SIGSYS},
        {"bpf", do_bpf, 128 + SIGSYS},
        {"userfaultfd", do_userfaultfd, 128 + SIGSYS},
        {"io_uring_setup", do_uring, ENOSYS},
        {"io_uring_enter", do_uring_enter, 128 + SIGSYS},
    };

    (void)state;
    CHECK(list);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_path_can_be_opened_read_or_made),
        cmocka_unit_test(no_socket_can_be_made),
        cmocka_unit_test(no_process_can_be_made_or_touched),
        cmocka_unit_test(no_right_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
