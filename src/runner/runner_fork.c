/*
 * runner_fork.c - the zygote: a warm Node that forks the process of each job.
 *
 * Node does not expect to be forked. What breaks, and what is done about it here:
 * V8 keeps its heap out of children (MADV_DONTFORK: refused); threads of the pool sleep
 * in condition variables, which a signal in the child would wait for (their list is kept,
 * and the child starts them anew); the event loop's descriptors are shared
 * (uv_loop_fork); at the end of the loop Node waits for threads that are not there (the
 * loop never ends). `--single-threaded` keeps V8 from needing those threads.
 *
 * For the first two the addon is preloaded as well (LD_PRELOAD), so that its functions
 * stand before those of libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner_addon.h"
#include "runner_layers.h"

enum {
    MAX_WAITERS = 256,
    HIGH_FD = 200, /* what belongs to other children stands from here on */
    MAX_CHILDREN = 16384,
    GRACE_TIMERS = 20, /* of 1 ms: Node's own tasks do not count as alive */
};

/* ---- Before libc ---- */

static pthread_cond_t *_Atomic waiters[MAX_WAITERS];
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *,
                             const struct timespec *);
static int (*real_clockwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t,
                             const struct timespec *);

static int note(pthread_cond_t *c) {
    for (int i = 0; i < MAX_WAITERS; i++) {
        pthread_cond_t *none = NULL;

        if (atomic_compare_exchange_strong(&waiters[i], &none, c))
            return i;
    }
    return -1;
}

static void forget(int i) {
    if (i >= 0)
        waiters[i] = NULL;
}

static void find_real(void) {
    if (real_wait)
        return;
    real_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_clockwait = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
    real_wait = dlsym(RTLD_NEXT, "pthread_cond_wait");
}

int pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m) {
    int i, rc;

    find_real();
    i = note(c);
    rc = real_wait(c, m);
    forget(i);
    return rc;
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                           const struct timespec *t) {
    int i, rc;

    find_real();
    i = note(c);
    rc = real_timedwait(c, m, t);
    forget(i);
    return rc;
}

int pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                           const struct timespec *t) {
    int i, rc;

    find_real();
    i = note(c);
    rc = real_clockwait(c, m, clock, t);
    forget(i);
    return rc;
}

int madvise(void *at, size_t n, int advice) {
    return advice == MADV_DONTFORK ? 0 : (int)syscall(SYS_madvise, at, n, advice);
}

/* Nobody waits in the child: what counts waiters must not. Clock and scope stay. */
void addon_renew_conditions(void) {
    for (int i = 0; i < MAX_WAITERS; i++) {
        pthread_cond_t *c = waiters[i];
        unsigned kept;

        if (!c)
            continue;
        kept = c->__data.__wrefs & 3;
        memset(c, 0, sizeof(*c));
        c->__data.__wrefs = kept;
        waiters[i] = NULL;
    }
}

__attribute__((constructor)) static void start(void) {
    find_real();
    if (!napi_create_function) /* a shell that will start Node */
        return;
    unsetenv("LD_PRELOAD");
    unsetenv("LD_BIND_NOW");
}

/* ---- Children ---- */

struct child {
    pid_t pid;
    int told; /* the supervisor hears of it here */
};
static struct child *children;
static int children_len;

static void tell(int fd, const struct runner_told *t, int pidfd) {
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {(void *)t, sizeof(*t)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *c;

    if (pidfd >= 0) {
        memset(&control, 0, sizeof(control));
        m.msg_control = &control;
        m.msg_controllen = sizeof(control.space);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pidfd, sizeof(int));
    }
    /* To nobody, when the supervisor does not care any more. */
    while (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR) {
    }
}

static void reap(void) {
    struct rusage u;
    int status;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &u)) > 0)
        for (int i = 0; i < children_len; i++) {
            struct runner_told t = {.what = RUNNER_TOLD_ENDED, .wait_status = status};

            if (children[i].pid != pid)
                continue;
            t.cpu_us = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL +
                       u.ru_utime.tv_usec + u.ru_stime.tv_usec;
            t.max_rss_kb = u.ru_maxrss;
            tell(children[i].told, &t, -1);
            close(children[i].told);
            children[i] = children[--children_len];
            break;
        }
}

/* 1: a wish with its descriptors, 0: none now, -1: no more will come. */
static int take_wish(struct runner_wish *w, int fds[RUNNER_WISH_FDS]) {
    union {
        char space[CMSG_SPACE(RUNNER_WISH_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {w, sizeof(*w)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.space)};
    ssize_t n = recvmsg(RUNNER_FD_SOCKET, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n != (ssize_t)sizeof(*w) || !c || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(RUNNER_WISH_FDS * sizeof(int)))
        return -1;
    memcpy(fds, CMSG_DATA(c), RUNNER_WISH_FDS * sizeof(int));
    return 1;
}

static sigset_t outer_signals;

/* In the child, until it is locked. */
static int become_child(struct uv_loop_s *loop, const struct runner_wish *w,
                        const int fds[RUNNER_WISH_FDS], pid_t zygote, int wanted,
                        int early) {
    int layers;

    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &outer_signals, NULL);
    addon_renew_conditions();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != zygote)
        _exit(0);
    if (dup2(fds[0], RUNNER_FD_SOCKET) < 0 || dup2(fds[2], 2) < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    for (int i = 0; i < RUNNER_WISH_FDS; i++)
        close(fds[i]);
    if (syscall(SYS_close_range, HIGH_FD, ~0u, 0) < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    layers = addon_lock_late(wanted, early, w->uid);
    if (uv_loop_fork(loop) != 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    addon_take_pages();
    return layers;
}

/* true in the parent, with a child more or not. */
static bool fork_child(int fds[RUNNER_WISH_FDS]) {
    struct runner_told born = {.what = RUNNER_TOLD_BORN};
    int told = fcntl(fds[1], F_DUPFD_CLOEXEC, HIGH_FD), pidfd;
    pid_t pid = told < 0 || children_len == MAX_CHILDREN ? -1 : fork();

    if (pid == 0)
        return false;
    if (pid > 0) {
        pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        tell(told, &born, pidfd);
        if (pidfd >= 0)
            close(pidfd);
        children[children_len++] = (struct child){pid, told};
    } else if (told >= 0) {
        close(told);
    }
    for (int i = 0; i < RUNNER_WISH_FDS; i++)
        close(fds[i]);
    return true;
}

/* ---- The zygote ---- */

static void on_child(int sig) {
    (void)sig; /* it ends the wait */
}

/* Threads that are at work now would be missing in the middle of something. */
static void let_threads_settle(void) {
    struct timespec pause = {0, 10 * 1000000};

    for (int i = 0; i < 3; i++)
        nanosleep(&pause, NULL);
}

/*
 * What the start has left over would be copied into each child. V8 has no C interface for
 * this; where the names are missing there is just more to copy.
 */
void addon_collect(void) {
    void *(*current)(void) =
        (void *(*)(void))dlsym(RTLD_DEFAULT, "_ZN2v87Isolate10GetCurrentEv");
    void (*collect)(void *) =
        (void (*)(void *))dlsym(RTLD_DEFAULT, "_ZN2v87Isolate21LowMemoryNotificationEv");

    if (current && collect)
        collect(current());
}

int addon_serve(struct uv_loop_s *loop, int wanted) {
    struct sigaction action = {.sa_handler = on_child};
    struct runner_wish w;
    int fds[RUNNER_WISH_FDS], early, rc = 0;
    pid_t self = getpid();
    sigset_t child_signal;

    children = calloc(MAX_CHILDREN, sizeof(*children));
    if (!children)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    let_threads_settle();
    mallopt(M_MXFAST, 0);
    malloc_trim(0);
    if (addon_run_sample(loop))
        return 0;
    early = addon_lock_early(wanted);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child_signal, &outer_signals);
    sigaction(SIGCHLD, &action, NULL);
    for (;;) {
        struct pollfd f = {rc < 0 ? -1 : RUNNER_FD_SOCKET, POLLIN, 0};

        reap();
        if (rc < 0 && children_len == 0)
            _exit(0);
        if (ppoll(&f, 1, NULL, &outer_signals) <= 0)
            continue;
        rc = take_wish(&w, fds);
        if (rc > 0 && !fork_child(fds))
            return become_child(loop, &w, fds, self, wanted, early);
    }
}

/* ---- The loop of a child ---- */

static struct {
    napi_env env;
    struct uv_loop_s *loop;
    napi_ref fn;
    void *prepare, *timer;
    int grace;
} watch;

static void on_nothing(void *timer) {
    (void)timer;
}

static void call_watcher(void) {
    napi_handle_scope scope;
    napi_value fn, global, ignored;

    if (napi_open_handle_scope(watch.env, &scope) != 0)
        return;
    if (napi_get_reference_value(watch.env, watch.fn, &fn) == 0 &&
        napi_get_global(watch.env, &global) == 0)
        napi_make_callback(watch.env, NULL, global, fn, 0, NULL, &ignored);
    napi_close_handle_scope(watch.env, scope);
}

/* Before each wait of the loop. */
static void look(void *prepare) {
    int alive;

    uv_unref(prepare);
    uv_unref(watch.timer);
    alive = uv_loop_alive(watch.loop);
    uv_ref(prepare);
    uv_ref(watch.timer);
    if (alive) {
        watch.grace = 0;
        return;
    }
    if (++watch.grace <= GRACE_TIMERS) {
        uv_update_time(watch.loop);
        uv_timer_start(watch.timer, on_nothing, 1, 0);
        return;
    }
    call_watcher();
}

void addon_watch(napi_env env, struct uv_loop_s *loop, napi_value fn) {
    watch.env = env;
    watch.loop = loop;
    watch.prepare = calloc(1, uv_handle_size(UV_PREPARE));
    watch.timer = calloc(1, uv_handle_size(UV_TIMER));
    if (!watch.prepare || !watch.timer ||
        napi_create_reference(env, fn, 1, &watch.fn) != 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    uv_timer_init(loop, watch.timer);
    uv_prepare_init(loop, watch.prepare);
    uv_prepare_start(watch.prepare, look);
}
