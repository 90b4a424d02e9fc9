/*
 * runner_pages.c - the pages that every job writes to.
 *
 * A fault for each page that a job is the first to write to costs more than the job. One
 * sample job, in a child of the zygote, shows which they are; each later child takes them
 * in bulk while it waits for its job.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner_addon.h"
#include "runner_layers.h"

enum {
    MAX_SPANS = 2048,
    MAX_TAKEN_BYTES = 4 * 1024 * 1024,
    PAGE_BYTES = 4096,
    PAGES_AT_ONCE = 512,
    SAMPLE_MS = 5000,
    ADVICE_POPULATE_WRITE = 23, /* MADV_POPULATE_WRITE, Linux 5.14 */
};

struct span {
    uintptr_t at;
    size_t bytes;
};
static struct span spans[MAX_SPANS];
static size_t spans_len;
static int sample_fd = -1; /* in the process of the sample job: where its pages go */

/* Of one mapping, those that are present and nobody else's (pagemap bits 63 and 56). */
static void write_spans(int pagemap, uintptr_t begin, uintptr_t end) {
    uint64_t page[PAGES_AT_ONCE];
    struct span open = {0, 0};

    for (uintptr_t at = begin; at < end; at += PAGES_AT_ONCE * PAGE_BYTES) {
        size_t n = (end - at) / PAGE_BYTES;

        if (n > PAGES_AT_ONCE)
            n = PAGES_AT_ONCE;
        if (pread(pagemap, page, n * sizeof(*page),
                  (off_t)(at / PAGE_BYTES * sizeof(*page))) !=
            (ssize_t)(n * sizeof(*page)))
            break;
        for (size_t i = 0; i < n; i++) {
            bool own = (page[i] >> 63 & 1) && (page[i] >> 56 & 1);

            if (own && !open.bytes)
                open.at = at + i * PAGE_BYTES;
            if (own)
                open.bytes += PAGE_BYTES;
            if (!own && open.bytes) {
                if (write(sample_fd, &open, sizeof(open)) < 0)
                    return;
                open.bytes = 0;
            }
        }
    }
    if (open.bytes && write(sample_fd, &open, sizeof(open)) < 0)
        return;
}

void addon_sample_over(void) {
    FILE *maps = sample_fd >= 0 ? fopen("/proc/self/maps", "re") : NULL;
    int pagemap = maps ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1;
    unsigned long begin, end;
    char line[512], rights[8];

    while (pagemap >= 0 && fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) == 3 && rights[1] == 'w' &&
            rights[3] == 'p' && !strstr(line, "[v") && !strstr(line, "[stack"))
            write_spans(pagemap, begin, end);
    if (sample_fd >= 0)
        _exit(0);
}

static bool read_within(int fd, void *to, size_t size) {
    struct pollfd f = {fd, POLLIN, 0};

    for (size_t n = 0; n < size;) {
        ssize_t k = poll(&f, 1, SAMPLE_MS) > 0 ? read(fd, (char *)to + n, size - n) : -1;

        if (k <= 0)
            return false;
        n += (size_t)k;
    }
    return true;
}

/* Plays the supervisor for the sample job, and takes what its process says of its pages.
 */
static void follow_sample(int socket, int pages) {
    static const char job[] =
        "{\"code\":\"export default async ({ items }) => { console.log('x'); return "
        "items.map((i) => ({ ...i, uri: new "
        "URL(`https://a.example/?id=${i.id}`).href }))"
        " }\",\"arguments\":{\"items\":[{\"id\":1},{\"id\":\"two\"}]},\"limits\":{"
        "\"memoryBytes\":536870912,\"cpuSeconds\":10,\"outputBytes\":100000}}";
    unsigned char head[4];
    char ready[512];
    size_t n;

    if (!read_within(socket, head, sizeof(head)) ||
        (n = head[0] | (size_t)head[1] << 8) > sizeof(ready) ||
        !read_within(socket, ready, n))
        return;
    memcpy(head, (unsigned char[4]){(sizeof(job) - 1) & 255, (sizeof(job) - 1) >> 8}, 4);
    if (send(socket, head, sizeof(head), MSG_NOSIGNAL) < 0 ||
        send(socket, job, sizeof(job) - 1, MSG_NOSIGNAL) < 0)
        return;
    while (spans_len < MAX_SPANS && read_within(pages, &spans[spans_len], sizeof(*spans)))
        spans_len++;
}

/* true in the process of the sample job, which goes on like a child that has a job. */
bool addon_run_sample(struct uv_loop_s *loop) {
    int socket[2], pages[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socket) < 0)
        return false;
    if (pipe2(pages, O_CLOEXEC) < 0) {
        close(socket[0]);
        close(socket[1]);
        return false;
    }
    pid = fork();
    if (pid == 0) {
        addon_renew_conditions();
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        if (dup2(socket[1], RUNNER_FD_SOCKET) < 0 || uv_loop_fork(loop) != 0)
            _exit(RUNNER_EXIT_NOT_LOCKED);
        close(socket[0]);
        close(socket[1]);
        close(pages[0]);
        sample_fd = pages[1];
        return true;
    }
    close(socket[1]);
    close(pages[1]);
    if (pid > 0) {
        follow_sample(socket[0], pages[0]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    close(socket[0]);
    close(pages[0]);
    return false;
}

void addon_take_pages(void) {
    size_t left = MAX_TAKEN_BYTES;

    for (size_t i = 0; i < spans_len && spans[i].bytes <= left; i++) {
        left -= spans[i].bytes;
        madvise((void *)spans[i].at, spans[i].bytes, ADVICE_POPULATE_WRITE);
    }
}
