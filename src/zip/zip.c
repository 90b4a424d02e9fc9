#include "zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

#define MAX_PATH_BYTES      500
#define MAX_DIRECTORY_DEPTH 32

struct collector {
    struct arena *arena;
    struct status *st;
    struct zip_file *files;
    size_t len, cap, bytes;
    size_t max_files, max_bytes;
};

static void collector_init(struct collector *c, struct arena *a,
                           const struct zip_limits *limits, struct status *st) {
    *c = (struct collector){.arena = a, .st = st};
    c->max_files = limits && limits->max_files ? limits->max_files : 10000;
    c->max_bytes = limits && limits->max_bytes ? limits->max_bytes : 100u * 1024 * 1024;
}

int zip_path_valid(const char *path) {
    size_t len = strlen(path);

    if (len == 0 || len > MAX_PATH_BYTES || path[0] == '/' || strchr(path, '\\'))
        return 0;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return 0;
    for (const char *p = path;;) {
        size_t n = strcspn(p, "/");

        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return 0;
        p += n;
        if (!*p)
            return 1;
        p++;
    }
}

static int collect(struct collector *c, const char *path, struct bytes body) {
    if (c->len == c->max_files)
        return st_fail(c->st, ST_BAD_REQUEST, NULL,
                       "the archive holds more than %zu files", c->max_files);
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;

        c->files = arena_grow(c->arena, c->files, c->cap * sizeof(*c->files),
                              cap * sizeof(*c->files));
        c->cap = cap;
    }
    c->files[c->len++] = (struct zip_file){path, body};
    return 0;
}

static int too_large(struct collector *c) {
    return st_fail(c->st, ST_BAD_REQUEST, NULL,
                   "the archive unpacks to more than %zu bytes", c->max_bytes);
}

static int by_path(const void *x, const void *y) {
    return strcmp(((const struct zip_file *)x)->path, ((const struct zip_file *)y)->path);
}

static int finish(struct collector *c, struct zip_tree *ret) {
    if (c->len)
        qsort(c->files, c->len, sizeof(*c->files), by_path);
    for (size_t i = 1; i < c->len; i++)
        if (strcmp(c->files[i - 1].path, c->files[i].path) == 0)
            return st_fail(c->st, ST_BAD_REQUEST, NULL, "\"%s\" is in the archive twice",
                           c->files[i].path);
    *ret = (struct zip_tree){c->files, c->len};
    return 0;
}

/* ---- archives in ---- */

static int read_entry_body(struct collector *c, struct archive *ar, struct bytes *ret) {
    struct buf b = BUF_INIT;
    ssize_t n;
    int rc = 0;

    for (;;) {
        char *room = buf_reserve(&b, 64 * 1024);

        n = archive_read_data(ar, room, 64 * 1024);
        if (n <= 0)
            break;
        b.len += (size_t)n;
        if (b.len > c->max_bytes - c->bytes) {
            rc = too_large(c);
            break;
        }
    }
    if (rc == 0 && n < 0)
        rc = st_fail(c->st, ST_BAD_REQUEST, NULL, "the archive can't be unpacked: %s",
                     archive_error_string(ar) ? archive_error_string(ar) : "damaged");
    if (rc == 0) {
        if (b.data)
            b.data[b.len] = '\0';
        *ret = buf_to_arena(&b, c->arena);
        c->bytes += b.len;
    }
    buf_fini(&b);
    return rc;
}

static int read_entry(struct collector *c, struct archive *ar, struct archive_entry *e) {
    const char *path = archive_entry_pathname(e);
    struct bytes body;
    size_t len;

    if (!path)
        return st_fail(c->st, ST_BAD_REQUEST, NULL,
                       "the archive holds a file whose name isn't valid text");
    len = strlen(path);
    if (archive_entry_hardlink(e) || archive_entry_symlink(e) ||
        (archive_entry_filetype(e) != AE_IFREG && archive_entry_filetype(e) != AE_IFDIR))
        return st_fail(c->st, ST_BAD_REQUEST, NULL,
                       "\"%.200s\" is a link or a special file", path);
    if (archive_entry_is_encrypted(e))
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "\"%.200s\" is encrypted", path);
    if (archive_entry_filetype(e) == AE_IFDIR) {
        char *dir = arena_memdup(c->arena, path, len);

        if (len && dir[len - 1] == '/')
            dir[len - 1] = '\0';
        if (*dir && !zip_path_valid(dir))
            return st_fail(c->st, ST_BAD_REQUEST, NULL, "\"%.200s\" is not a safe path",
                           path);
        return 0;
    }
    if (!zip_path_valid(path))
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "\"%.200s\" is not a safe path",
                       path);
    path = arena_strdup(c->arena, path);
    if (read_entry_body(c, ar, &body) < 0)
        return -1;
    return collect(c, path, body);
}

static bool is_noise(const char *path) {
    return strncmp(path, "__MACOSX/", 9) == 0 || strstr(path, ".DS_Store");
}

static int read_entries(struct collector *c, struct archive *ar) {
    struct archive_entry *e;
    size_t seen = 0;
    int rc;

    while ((rc = archive_read_next_header(ar, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN) {
        if (++seen > c->max_files * 2)
            return st_fail(c->st, ST_BAD_REQUEST, NULL,
                           "the archive holds more than %zu files", c->max_files);
        if (archive_entry_pathname(e) && is_noise(archive_entry_pathname(e)))
            continue;
        if (read_entry(c, ar, e) < 0)
            return -1;
    }
    if (rc != ARCHIVE_EOF)
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "not a ZIP archive, or damaged: %s",
                       archive_error_string(ar) ? archive_error_string(ar)
                                                : "unreadable");
    return 0;
}

/* People zip the folder as often as its content. */
static void strip_common_directory(struct collector *c, const char *anchor) {
    size_t n;

    if (c->len == 0)
        return;
    n = strcspn(c->files[0].path, "/");
    if (c->files[0].path[n] != '/')
        return;
    n++;
    for (size_t i = 0; i < c->len; i++) {
        if (strncmp(c->files[i].path, c->files[0].path, n) != 0)
            return;
        if (anchor && strcmp(c->files[i].path, anchor) == 0)
            return;
    }
    if (anchor) { /* strip only when that brings the anchor to the top */
        bool found = false;

        for (size_t i = 0; i < c->len; i++)
            found |= strcmp(c->files[i].path + n, anchor) == 0;
        if (!found)
            return;
    }
    for (size_t i = 0; i < c->len; i++)
        c->files[i].path += n;
}

int zip_unpack(struct arena *a, struct bytes archive, const char *anchor,
               const struct zip_limits *limits, struct zip_tree *ret_tree,
               struct status *st) {
    struct archive *ar = archive_read_new();
    struct collector c;
    int rc;

    if (!ar)
        return st_fail(st, ST_INTERNAL, NULL, "no archive reader");
    collector_init(&c, a, limits, st);
    archive_read_support_format_zip(ar);
    if (archive_read_open_memory(ar, archive.data, archive.len) != ARCHIVE_OK)
        rc = st_fail(st, ST_BAD_REQUEST, NULL, "not a ZIP archive: %s",
                     archive_error_string(ar) ? archive_error_string(ar) : "unreadable");
    else
        rc = read_entries(&c, ar);
    archive_read_free(ar);
    if (rc < 0)
        return -1;
    strip_common_directory(&c, anchor);
    return finish(&c, ret_tree);
}

/* ---- archives out ---- */

static la_ssize_t write_to_buf(struct archive *ar, void *ctx, const void *data,
                               size_t len) {
    (void)ar;
    buf_add(ctx, data, len);
    return (la_ssize_t)len;
}

static int pack_file(struct archive *ar, const struct zip_file *f) {
    struct archive_entry *e = archive_entry_new();
    int rc;

    archive_entry_set_pathname(e, f->path);
    archive_entry_set_size(e, (la_int64_t)f->body.len);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, 315532800, 0); /* 1980-01-01: the first that ZIP can say */
    rc = archive_write_header(ar, e);
    if (rc == ARCHIVE_OK && f->body.len)
        rc = archive_write_data(ar, f->body.data, f->body.len) == (la_ssize_t)f->body.len
                 ? ARCHIVE_OK
                 : ARCHIVE_FATAL;
    archive_entry_free(e);
    return rc;
}

int zip_pack(struct arena *a, const struct zip_tree *tree, struct bytes *ret_archive,
             struct status *st) {
    struct archive *ar = archive_write_new();
    struct buf out = BUF_INIT;
    int rc;

    if (!ar)
        return st_fail(st, ST_INTERNAL, NULL, "no archive writer");
    archive_write_set_format_zip(ar);
    archive_write_set_bytes_per_block(ar, 0);
    rc = archive_write_open(ar, &out, NULL, write_to_buf, NULL);
    for (size_t i = 0; rc == ARCHIVE_OK && i < tree->len; i++)
        rc = pack_file(ar, &tree->files[i]);
    if (rc == ARCHIVE_OK)
        rc = archive_write_close(ar);
    if (rc != ARCHIVE_OK)
        st_fail(st, ST_INTERNAL, NULL, "the archive could not be written: %s",
                archive_error_string(ar) ? archive_error_string(ar) : "unknown");
    else
        *ret_archive = buf_to_arena(&out, a);
    archive_write_free(ar);
    buf_fini(&out);
    return rc == ARCHIVE_OK ? 0 : -1;
}

/* ---- directories in ---- */

static int read_file_at(struct collector *c, int dir_fd, const char *name,
                        const char *path) {
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat sb;
    char *data;
    size_t got = 0;
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, &sb) < 0) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "%s: %s", path, strerror(error));
    }
    if ((size_t)sb.st_size > c->max_bytes - c->bytes) {
        close(fd);
        return too_large(c);
    }
    data = arena_alloc(c->arena, (size_t)sb.st_size + 1);
    while (got < (size_t)sb.st_size &&
           (n = read(fd, data + got, (size_t)sb.st_size - got)) > 0)
        got += (size_t)n;
    close(fd);
    if (n < 0)
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "%s: %s", path, strerror(errno));
    data[got] = '\0';
    c->bytes += got;
    return collect(c, path, (struct bytes){data, got});
}

static int read_directory_at(struct collector *c, int dir_fd, const char *prefix,
                             int depth) {
    DIR *d = fdopendir(dir_fd);
    struct dirent *e;
    int rc = 0;

    if (!d) {
        close(dir_fd);
        return st_fail(c->st, ST_BAD_REQUEST, NULL, "%s: %s", prefix, strerror(errno));
    }
    while (rc == 0 && (e = readdir(d))) {
        const char *path =
            arena_printf(c->arena, "%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
        struct stat sb;

        if (e->d_name[0] == '.' || strcmp(e->d_name, "node_modules") == 0 ||
            fstatat(dirfd(d), e->d_name, &sb, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISREG(sb.st_mode)) {
            rc = zip_path_valid(path)
                     ? read_file_at(c, dirfd(d), e->d_name, path)
                     : st_fail(c->st, ST_BAD_REQUEST, NULL, "%s: not a safe path", path);
        } else if (S_ISDIR(sb.st_mode)) {
            int fd = depth < MAX_DIRECTORY_DEPTH
                         ? openat(dirfd(d), e->d_name,
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                         : -1;

            rc = fd < 0 ? st_fail(c->st, ST_BAD_REQUEST, NULL, "%s: can't be read", path)
                        : read_directory_at(c, fd, path, depth + 1);
        }
    }
    closedir(d);
    return rc;
}

int zip_read_directory(struct arena *a, const char *dir, const struct zip_limits *limits,
                       struct zip_tree *ret_tree, struct status *st) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct collector c;

    if (fd < 0)
        return st_fail(st, ST_BAD_REQUEST, NULL, "%s: %s", dir, strerror(errno));
    collector_init(&c, a, limits, st);
    if (read_directory_at(&c, fd, "", 0) < 0)
        return -1;
    return finish(&c, ret_tree);
}

const struct zip_file *zip_find(const struct zip_tree *tree, const char *path) {
    struct zip_file key = {.path = path};

    return tree->len ? bsearch(&key, tree->files, tree->len, sizeof(key), by_path) : NULL;
}
