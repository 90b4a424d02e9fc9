/*
 * The system calls that a locked process may make: memory, time, threads of its own, and
 * descriptors that are open already. There is no open, no socket, no exec, no signal to
 * others, no new process: what is not in the list fails with EPERM, what only an attack
 * would try ends the process.
 */
#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fcntl.h>

#include "runner_priv.h"

static const char *const allowed[] = {
    /* open descriptors */
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "fstat",
    "lseek",
    "dup",
    "dup3",
    "fcntl",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "shutdown",
    "getsockopt",
    "getsockname",
    "getpeername",
    /* waiting */
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "pipe2",
    "poll",
    "ppoll",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    /* memory */
    "mmap",
    "mprotect",
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "pkey_alloc",
    "pkey_mprotect",
    "pkey_free",
    /* threads and signals of its own */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    "futex",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "membarrier",
    "sched_yield",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "gettid",
    "getpid",
    "getppid",
    "exit",
    "exit_group",
    /* time and facts */
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "times",
    "getrusage",
    "getrandom",
    "sysinfo",
    "uname",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getpriority",
};

static const char *const deadly[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "mount",
    "umount2",
    "pivot_root",
    "unshare",
    "setns",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "init_module",
    "finit_module",
    "open_by_handle_at",
    "io_uring_enter",
    "io_uring_register",
};

static void add(scmp_filter_ctx c, uint32_t action, const char *name) {
    int call = seccomp_syscall_resolve_name(name);

    if (call != __NR_SCMP_ERROR) /* not on this architecture */
        seccomp_rule_add(c, action, call, 0);
}

static scmp_filter_ctx make(void) {
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    if (!c)
        return NULL;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
        add(c, SCMP_ACT_ALLOW, allowed[i]);
    for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
        add(c, SCMP_ACT_KILL_PROCESS, deadly[i]);
    /* Facts of an open descriptor; a path would tell what exists. */
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                     SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(statx), 1,
                     SCMP_A2(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    /* A thread, never a process; clone3 hides its flags, so libc shall use clone. */
    seccomp_rule_add(
        c, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
    seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                     SCMP_A1(SCMP_CMP_EQ, 0x5421 /* FIONBIO */));
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                     SCMP_A1(SCMP_CMP_EQ, 0x541b /* FIONREAD */));
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                     SCMP_A2(SCMP_CMP_EQ, SIGABRT));
    /* Its own limits: without capabilities they only go down. */
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                     SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                     SCMP_A0(SCMP_CMP_EQ, 0x53564d41 /* PR_SET_VMA */));
    seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
    return c;
}

int runner_filter_fd(void) {
    scmp_filter_ctx c = make();
    int fd = memfd_create("filter", MFD_CLOEXEC), rc = -1;

    if (c && fd >= 0)
        rc = seccomp_export_bpf(c, fd);
    if (c)
        seccomp_release(c);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? -1 : fd;
}
