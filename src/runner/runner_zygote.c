/*
 * runner_zygote.c - asking a zygote for a child, and what it says of it.
 *
 * The children are the zygote's own: it reaps them, and tells of each on a socket that
 * belongs to that child alone (runner_told). So a job's thread needs nobody else to end
 * its process, and when a zygote dies each thread sees it by itself.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fcntl.h>

#include "base/clock.h"
#include "runner_priv.h"

enum {
    TOLD_MS = 10000, /* how long a zygote may take to say what it has to */
};

/* ---- Forking ---- */

static int send_wish(int to, const struct runner_wish *w,
                     const int fds[RUNNER_WISH_FDS]) {
    union {
        char space[CMSG_SPACE(RUNNER_WISH_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {(void *)w, sizeof(*w)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.space)};
    struct cmsghdr *c;

    memset(&control, 0, sizeof(control));
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(RUNNER_WISH_FDS * sizeof(int));
    memcpy(CMSG_DATA(c), fds, RUNNER_WISH_FDS * sizeof(int));
    return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*w) ? 0 : -1;
}

int runner_zygote_fork(struct runner_process *zygote, unsigned number,
                       struct runner_process *ret) {
    int socket[2] = {-1, -1}, told[2] = {-1, -1}, errors[2] = {-1, -1};
    struct runner_wish w = {.uid = runner_next_uid()};
    struct timeval patience = {10, 0};
    int rc = -1, why;

    if (runner_pair(SOCK_STREAM, socket) == 0 && runner_pair(SOCK_SEQPACKET, told) == 0 &&
        runner_pipe(errors) == 0)
        rc = send_wish(zygote->socket, &w, (int[]){socket[1], told[1], errors[1]});
    why = errno;
    for (int i = rc == 0; i < 2; i++) {
        /* The other ends are the child's now. */
        if (socket[i] >= 0)
            close(socket[i]);
        if (told[i] >= 0)
            close(told[i]);
        if (errors[i] >= 0)
            close(errors[i]);
    }
    errno = why;
    if (rc < 0)
        return -1;
    /* Nobody may wait for ever on a process that does not read. */
    setsockopt(socket[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    *ret = (struct runner_process){.socket = socket[0],
                                   .errors = errors[0],
                                   .told = told[0],
                                   .pidfd = -1,
                                   .zygote = number,
                                   .started_ms = clock_monotonic_ms(clock_system())};
    return 0;
}

/* ---- What it says ---- */

/* One word of the zygote; ret_fd: what came with it, or -1. -1: it says nothing more. */
static int hear(int fd, struct runner_told *ret, int *ret_fd) {
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {ret, sizeof(*ret)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control.space)};
    struct pollfd f = {fd, POLLIN, 0};
    int64_t end = clock_monotonic_ms(clock_system()) + TOLD_MS, left;
    struct cmsghdr *c;
    ssize_t n;

    *ret_fd = -1;
    while ((left = end - clock_monotonic_ms(clock_system())) > 0 &&
           poll(&f, 1, (int)left) < 0 && errno == EINTR) {
    }
    n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    return n == (ssize_t)sizeof(*ret) ? 0 : -1;
}

/* The process's number in our own namespace. */
static pid_t pid_of(int pidfd) {
    char path[64], text[1024], *at;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, "\nPid:");
    return at ? (pid_t)strtol(at + 5, NULL, 10) : 0;
}

int runner_zygote_born(struct runner_process *p) {
    struct runner_told t;
    int fd = -1;

    if (p->pidfd >= 0)
        return 0;
    if (hear(p->told, &t, &fd) < 0 || t.what != RUNNER_TOLD_BORN || fd < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    p->pidfd = fd;
    p->pid = pid_of(fd);
    return 0;
}

int runner_zygote_ended(struct runner_process *p, int *ret_wait_status,
                        struct runner_usage *ret_usage) {
    struct runner_told t;
    int fd = -1;

    if (hear(p->told, &t, &fd) < 0 || t.what != RUNNER_TOLD_ENDED) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *ret_wait_status = t.wait_status;
    ret_usage->cpu_ms = (double)t.cpu_us / 1000;
    ret_usage->max_rss_bytes = t.max_rss_kb * 1024;
    return 0;
}
