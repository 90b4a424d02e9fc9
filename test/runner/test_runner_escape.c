/*
 * A hostile script in a job's process, with all of Node in its hands: nothing may be
 * reached, as root and as an ordinary user, with namespaces and without. S121.
 */
#include "../cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/status.h"
#include "config/config.h"
#include "runner/runner_priv.h"

enum {
    SKIP = 77,
    NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
    NOBODY = 65534,
};

static int hostile_fd(void) {
    int from = open(SOURCE_ROOT "/test/runner/hostile_guest.js", O_RDONLY | O_CLOEXEC);
    int to = memfd_create("hostile", MFD_CLOEXEC), high;
    char part[4096];
    ssize_t n;

    while ((n = read(from, part, sizeof(part))) > 0)
        if (write(to, part, (size_t)n) != n)
            return -1;
    close(from);
    high = fcntl(to, F_DUPFD_CLOEXEC, 20);
    close(to);
    return high;
}

static bool read_bytes(int fd, void *to, size_t size) {
    struct pollfd p = {fd, POLLIN, 0};

    for (size_t n = 0; n < size;) {
        ssize_t k = poll(&p, 1, 60000) > 0 ? recv(fd, (char *)to + n, size - n, 0) : -1;

        if (k <= 0)
            return false;
        n += (size_t)k;
    }
    return true;
}

/* The next frame of the script, or 0. */
static size_t read_frame(int fd, char *out, size_t size) {
    unsigned char head[4];
    size_t len;

    if (!read_bytes(fd, head, sizeof(head)))
        return 0;
    len = head[0] | (size_t)head[1] << 8;
    return len < size && read_bytes(fd, out, len) ? len : 0;
}

/* A child of a zygote. */
static int start_child(const struct runner_plan *plan, struct runner_process *zygote,
                       struct runner_process *ret) {
    struct pollfd f;

    if (runner_process_start(plan, RUNNER_MODE_ZYGOTE, zygote) < 0)
        return -1;
    f = (struct pollfd){zygote->socket, POLLIN, 0};
    poll(&f, 1, 60000);
    errno = EIO;
    return runner_process_read_ready(zygote) == 0 ? runner_zygote_fork(zygote, 1, ret)
                                                  : -1;
}

/* In a child of its own: the exit status is 0, SKIP or 1 after a message. */
static int try(enum runner_mode mode, unsigned long flags, bool user_namespace,
               unsigned wanted, unsigned held) {
    struct arena *a = arena_new(0);
    struct config c = {.node_bin = getenv("NODE_BIN")};
    struct runner_plan plan;
    struct runner_process p, zygote = {.pid = 0};
    const struct value *frame, *reached;
    char text[16384], said[2048];
    struct status st;
    size_t n;

    st_init(&st, a);
    if (runner_plan_make(&c, &plan, &st) != 0)
        return SKIP;
    close(plan.guest_fd);
    plan.guest_fd = hostile_fd();
    plan.clone_flags = flags;
    plan.user_namespace = user_namespace;
    plan.wanted = wanted | RUNNER_LAYERS_REQUIRED;
    if ((mode == RUNNER_MODE_ZYGOTE ? start_child(&plan, &zygote, &p)
                                    : runner_process_start(&plan, mode, &p)) < 0)
        return fprintf(stderr, "no process: %s\n", strerror(errno)),
               errno == EPERM || errno == ENOSPC ? SKIP : 1;
    read_frame(p.socket, text, sizeof(text)); /* that it has the job */
    n = read_frame(p.socket, text, sizeof(text));
    runner_process_said(&p, said, sizeof(said));
    runner_process_end(&p, NULL, NULL);
    if (zygote.pid)
        runner_process_end(&zygote, NULL, NULL);
    if (!n || value_parse(a, text, n, NULL, &frame, &st) < 0) {
        fprintf(stderr, "no report: %s\n", said);
        return strstr(said, "ermission denied") ? SKIP : 1;
    }
    reached = value_get(frame, "reached");
    for (VALUE_EACH_ITEM(r, reached))
        fprintf(stderr, "reached %s\n", value_text(r));
    if (value_get_number(frame, "tried", 0) < 80 || !value_is_array(reached)) {
        fprintf(stderr, "tried %g\n", value_get_number(frame, "tried", 0));
        return 1;
    }
    if (((unsigned)value_get_number(frame, "layers", 0) & held) != held) {
        fprintf(stderr, "layers: %g\n", value_get_number(frame, "layers", 0));
        return 1;
    }
    return reached->len ? 1 : 0;
}

static void check_mode(enum runner_mode mode, bool as_nobody, unsigned long flags,
                       bool user_namespace, unsigned wanted, unsigned held) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (as_nobody && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
            _exit(SKIP);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as after an exec */
        _exit(try(mode, flags, user_namespace, wanted, held));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIP)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A process of its own, and a child of a zygote. */
static void check(bool as_nobody, unsigned long flags, bool user_namespace,
                  unsigned wanted, unsigned held) {
    check_mode(RUNNER_MODE_PROCESS, as_nobody, flags, user_namespace, wanted, held);
    check_mode(RUNNER_MODE_ZYGOTE, as_nobody, flags, user_namespace, wanted, held);
}

enum { ALL = RUNNER_LAYER_ROOT | RUNNER_LAYER_NET | RUNNER_LAYER_PID | RUNNER_LAYER_IPC };

static void nothing_is_reached_as_root(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    check(false, NAMESPACES, false, ALL | RUNNER_LAYER_UID, ALL);
}

static void nothing_is_reached_as_root_without_namespaces(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    check(false, 0, false, RUNNER_LAYER_UID, 0);
}

static void nothing_is_reached_as_an_ordinary_user(void **state) {
    (void)state;
    check(geteuid() == 0, 0, false, 0, 0);
}

static void nothing_is_reached_in_a_user_namespace(void **state) {
    (void)state;
    check(geteuid() == 0, NAMESPACES | CLONE_NEWUSER, true, ALL, ALL);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_reached_as_root),
        cmocka_unit_test(nothing_is_reached_as_root_without_namespaces),
        cmocka_unit_test(nothing_is_reached_as_an_ordinary_user),
        cmocka_unit_test(nothing_is_reached_in_a_user_namespace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
