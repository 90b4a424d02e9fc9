/*
 * runner_addon.c - what the process of a job does to itself, loaded into Node.
 *
 * Node needs files, memory tricks and threads to start; the code of a customer needs none
 * of that. So Node starts first, then lock() gives everything up for good, on all
 * threads, and only then a job is read. receive() and send() are blocking on purpose: the
 * process waits for its one job without an event loop, and what the code logged before an
 * endless loop has left the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner_layers.h"
#include "runner_addon.h"

enum {
    MAX_DESCRIPTORS = 64,
    MAX_TASKS = 256, /* of the job's own user */
    MAX_FRAME_BYTES = 256 * 1024 * 1024,
    FAREWELL_MS = 1000,
};

/* ---- Giving up ---- */

static int limit(int what, rlim_t value) {
    struct rlimit r = {value, value};

    return setrlimit(what, &r);
}

/* An empty directory as root, and nothing else mounted. Needs a mount namespace. */
static int empty_root(void) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
              "size=64k,mode=0555") < 0 ||
        chdir("/proc") < 0)
        return -1;
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
        return chroot(".");
    return chdir("/");
}

static int own_user(int uid) {
    /* The wrappers of libc, not bare calls: they change all threads. */
    if (setgroups(0, NULL) < 0 || setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) < 0 ||
        setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0)
        return -1;
    return limit(RLIMIT_NPROC, MAX_TASKS);
}

static void drop_capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];

    memset(none, 0, sizeof(none));
    syscall(SYS_capset, &head, none);
}

/* Every right of the kernel's version is handled and none is given. */
static int landlock(void) {
    struct {
        uint64_t fs, net, scoped;
    } attr = {0, 0, 0};
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1), fd, rc;
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;

    if (abi < 1)
        return -1;
    attr.fs = (1ull << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13)) - 1;
    attr.net = 3;    /* bind, connect */
    attr.scoped = 3; /* abstract sockets, signals */
    fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (fd < 0)
        return -1;
    rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
    close(fd);
    return rc;
}

/* The program was made by the supervisor. */
static struct sock_fprog program;

static int read_filter(void) {
    struct stat s;

    if (fstat(RUNNER_FD_FILTER, &s) < 0 || s.st_size <= 0)
        return -1;
    program.len = (unsigned short)((size_t)s.st_size / sizeof(*program.filter));
    program.filter = malloc((size_t)s.st_size);
    if (!program.filter ||
        pread(RUNNER_FD_FILTER, program.filter, (size_t)s.st_size, 0) != s.st_size)
        return -1;
    return 0;
}

/* Private memory as RLIMIT_DATA counts it: Node maps far more than it uses. */
static rlim_t data_bytes(void) {
    char text[256] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC), field = 0;
    const char *p = text;

    if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        close(fd);
    for (; *p && field < 5; p++)
        field += *p == ' ';
    return (rlim_t)strtoull(p, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

static rlim_t data_at_start;
static bool is_child; /* of a zygote */

int addon_lock_early(int wanted) {
    int held = wanted & (RUNNER_LAYER_NET | RUNNER_LAYER_PID | RUNNER_LAYER_IPC);

    data_at_start = data_bytes();
    if (read_filter() < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    close(RUNNER_FD_ADDON);
    close(RUNNER_FD_GUEST);
    close(RUNNER_FD_FILTER);
    if ((wanted & RUNNER_LAYER_ROOT) && empty_root() == 0)
        held |= RUNNER_LAYER_ROOT;
    for (int c = 0; c <= 63; c++)
        prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    return held;
}

int addon_lock_late(int wanted, int early, int uid) {
    int held = early;

    if (limit(RLIMIT_CORE, 0) < 0 || limit(RLIMIT_FSIZE, 0) < 0 ||
        limit(RLIMIT_NOFILE, MAX_DESCRIPTORS) < 0 || limit(RLIMIT_MSGQUEUE, 0) < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    held |= RUNNER_LAYER_RLIMITS;
    if ((wanted & RUNNER_LAYER_UID) && own_user(uid) == 0)
        held |= RUNNER_LAYER_UID;
    drop_capabilities();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Again: a change of user has cleared it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    if (landlock() == 0)
        held |= RUNNER_LAYER_LANDLOCK;
    /* It holds for all threads. */
    if ((wanted & RUNNER_LAYER_SECCOMP) &&
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                &program) == 0)
        held |= RUNNER_LAYER_SECCOMP;
    if (wanted & RUNNER_LAYERS_REQUIRED & ~held)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    return held;
}

/* ---- The socket ---- */

static void wait_for(short events) {
    struct pollfd p = {RUNNER_FD_SOCKET, events, 0};

    poll(&p, 1, -1);
}

/* The supervisor is gone or does not want us: end. */
static void read_all(void *to, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t k = read(RUNNER_FD_SOCKET, (char *)to + done, n - done);

        if (k > 0)
            done += (size_t)k;
        else if (k < 0 && errno == EAGAIN)
            wait_for(POLLIN);
        else if (k == 0 || errno != EINTR)
            _exit(0);
    }
}

/* Head and body together, so that the other side wakes once. */
static void send_frame(const void *data, size_t n) {
    unsigned char head[4] = {(unsigned char)n, (unsigned char)(n >> 8),
                             (unsigned char)(n >> 16), (unsigned char)(n >> 24)};
    struct iovec parts[2] = {{head, sizeof(head)}, {(void *)data, n}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

    while (m.msg_iovlen > 0) {
        ssize_t k = sendmsg(RUNNER_FD_SOCKET, &m, MSG_NOSIGNAL);

        if (k < 0 && errno == EAGAIN)
            wait_for(POLLOUT);
        else if (k < 0 && errno != EINTR)
            _exit(0);
        for (; m.msg_iovlen > 0 && k >= (ssize_t)m.msg_iov->iov_len; m.msg_iovlen--)
            k -= (ssize_t)m.msg_iov++->iov_len;
        if (m.msg_iovlen > 0 && k > 0) {
            m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + k;
            m.msg_iov->iov_len -= (size_t)k;
        }
    }
}

/* ---- What JavaScript sees ---- */

/* lock(wanted, uid): the layers that hold. For a process that was started for one job. */
static napi_value js_lock(napi_env env, napi_callback_info info) {
    napi_value argv[2], result = NULL;
    size_t argc = 2;
    int32_t wanted = 0, uid = 0;

    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_value_int32(env, argv[0], &wanted);
    napi_get_value_int32(env, argv[1], &uid);
    napi_create_int32(env, addon_lock_late(wanted, addon_lock_early(wanted), uid),
                      &result);
    return result;
}

static struct uv_loop_s *loop_of(napi_env env) {
    struct uv_loop_s *loop = NULL;

    if (napi_get_uv_event_loop(env, &loop) != 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    return loop;
}

/* serve(wanted): returns in each child, the layers that hold. */
static napi_value js_serve(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    size_t argc = 1;
    int32_t wanted = 0;

    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_value_int32(env, argv[0], &wanted);
    napi_create_int32(env, addon_serve(loop_of(env), wanted), &result);
    is_child = true;
    return result;
}

/* collect(): all garbage. */
static napi_value js_collect(napi_env env, napi_callback_info info) {
    napi_value result = NULL;

    (void)info;
    addon_collect();
    napi_get_null(env, &result);
    return result;
}

/* watch(fn): in a child, fn is called when nothing is left that could go on. */
static napi_value js_watch(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    size_t argc = 1;

    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    addon_watch(env, loop_of(env), argv[0]);
    napi_get_null(env, &result);
    return result;
}

/* random(): 31 bits from the kernel. */
static napi_value js_random(napi_env env, napi_callback_info info) {
    napi_value result = NULL;
    uint32_t n = 0;

    (void)info;
    while (getrandom(&n, sizeof(n), 0) != sizeof(n)) {
    }
    napi_create_int32(env, (int32_t)(n >> 1), &result);
    return result;
}

/*
 * limit(memoryMegabytes, cpuSeconds): of the job, above what Node has by itself. Tells
 * the supervisor that the job is in good hands: from here on it is not given to another.
 */
static napi_value js_limit(napi_env env, napi_callback_info info) {
    static const char accepted[] = "{\"t\":\"accepted\"}";
    napi_value argv[2], result = NULL;
    size_t argc = 2;
    int32_t memory = 0, cpu = 0;

    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    napi_get_value_int32(env, argv[0], &memory);
    napi_get_value_int32(env, argv[1], &cpu);
    if (memory <= 0 || cpu <= 0 ||
        limit(RLIMIT_DATA, data_at_start + ((rlim_t)memory << 20)) < 0 ||
        limit(RLIMIT_CPU, (rlim_t)cpu) < 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    send_frame(accepted, sizeof(accepted) - 1);
    napi_get_null(env, &result);
    return result;
}

/* receive(): the next frame, as a Buffer. */
static napi_value js_receive(napi_env env, napi_callback_info info) {
    napi_value result = NULL;
    unsigned char head[4];
    void *data;
    size_t n;

    (void)info;
    read_all(head, sizeof(head));
    n = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    if (n > MAX_FRAME_BYTES || napi_create_buffer(env, n, &data, &result) != 0)
        _exit(RUNNER_EXIT_NOT_LOCKED);
    read_all(data, n);
    uv_update_time(loop_of(env)); /* timers shall not count the wait */
    return result;
}

/* send(buffer) */
static napi_value js_send(napi_env env, napi_callback_info info) {
    napi_value argv[1], result = NULL;
    size_t argc = 1, n = 0;
    void *data = NULL;

    napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
    if (napi_get_buffer_info(env, argv[0], &data, &n) == 0 && n <= MAX_FRAME_BYTES)
        send_frame(data, n);
    napi_get_null(env, &result);
    return result;
}

/*
 * exit(): without Node's own farewell. The supervisor has the last frame and ends the
 * process when it has seen what it used; it is waited for that a moment.
 */
static napi_value js_exit(napi_env env, napi_callback_info info) {
    struct pollfd p = {RUNNER_FD_SOCKET, 0, 0};

    (void)env;
    (void)info;
    addon_sample_over();
    if (is_child)
        poll(&p, 1, FAREWELL_MS);
    _exit(0);
}

static void export(napi_env env, napi_value exports, const char *name, napi_callback fn) {
    napi_value function;

    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, fn, NULL, &function) == 0)
        napi_set_named_property(env, exports, name, function);
}

int32_t node_api_module_get_api_version_v1(void) {
    return 8;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
    export(env, exports, "lock", js_lock);
    export(env, exports, "serve", js_serve);
    export(env, exports, "collect", js_collect);
    export(env, exports, "watch", js_watch);
    export(env, exports, "random", js_random);
    export(env, exports, "limit", js_limit);
    export(env, exports, "receive", js_receive);
    export(env, exports, "send", js_send);
    export(env, exports, "exit", js_exit);
    return exports;
}
