/*
 * blob_fs.c - objects as files: root/<bucket>/<key>.
 *
 * Put writes a hidden temporary file beside the target, syncs it, renames it over the
 * target and syncs the directory: a reader sees the old or the new bytes, and a put that
 * returned survives a power loss. Keys never leave their bucket: they hold no "..", and
 * the way to a file is walked from the bucket's directory segment by segment without
 * following links (what openat2's RESOLVE_BENEATH does, on every kernel and under every
 * container filter).
 *
 * A writer holds a lock on its temporary file; opening a store removes temporary files
 * that nobody holds. The content type is an extended attribute, set before the rename;
 * where the file system has none it's derived from the name.
 */
#include "blob_priv.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "value/value.h"

#define TYPE_ATTRIBUTE "user.membrane.content-type"
#define TMP_PREFIX     ".tmp-"

enum { PUT_ATTEMPTS = 5, PART_BYTES = 64 * 1024, MAX_DIRS = 64 };

struct fs {
    struct blob base;
    struct arena *arena;
    int dir[BLOB_BUCKETS];
};

static struct fs *fs_of(struct blob *b) {
    return (struct fs *)b;
}

static int fail_errno(struct status *st, const char *what, const char *key) {
    int e = errno;

    if (e == ENOTDIR || e == EISDIR || e == ENOTEMPTY || e == EEXIST)
        return st_fail(st, ST_BAD_REQUEST, NULL,
                       "\"%s\" can't be both an object and a folder of objects.", key);
    return st_fail(st, ST_INTERNAL, "unavailable", "%s object \"%s\" failed: %s.", what,
                   key, strerror(e));
}

/* ---- Walking ---- */

static int open_dir_at(int at, const char *name) {
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes a directory so that it survives a power loss. */
static int make_dir_at(int at, const char *name) {
    if (mkdirat(at, name, 0700) < 0)
        return errno == EEXIST ? 0 : -1;
    return fsync(at);
}

/*
 * Opens the directory that holds the key; *ret_name is the key's last segment. Gives a
 * file descriptor, or -1 with errno.
 */
static int open_parent(int bucket, const char *key, bool make, const char **ret_name) {
    char segment[BLOB_SEGMENT_MAX + 1];
    int dir = dup(bucket), next;
    const char *slash;

    while (dir >= 0 && (slash = strchr(key, '/'))) {
        size_t len = (size_t)(slash - key);

        assert(len < sizeof(segment));
        memcpy(segment, key, len);
        segment[len] = '\0';
        next = open_dir_at(dir, segment);
        if (next < 0 && errno == ENOENT && make && make_dir_at(dir, segment) == 0)
            next = open_dir_at(dir, segment);
        close(dir);
        dir = next;
        key = slash + 1;
    }
    *ret_name = key;
    return dir;
}

/* 0 with an open regular file, 1 absent. */
static int open_object(struct fs *f, enum blob_bucket bucket, const char *key,
                       int *ret_fd, struct stat *ret_stat, struct status *st) {
    const char *name;
    int dir = open_parent(f->dir[bucket], key, false, &name), fd, e;

    if (dir < 0)
        return errno == ENOENT || errno == ENOTDIR ? 1 : fail_errno(st, "Reading", key);
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    e = errno;
    close(dir);
    errno = e;
    if (fd < 0)
        return errno == ENOENT ? 1 : fail_errno(st, "Reading", key);
    if (fstat(fd, ret_stat) < 0) {
        close(fd);
        return fail_errno(st, "Reading", key);
    }
    if (!S_ISREG(ret_stat->st_mode)) {
        close(fd);
        return 1;
    }
    *ret_fd = fd;
    return 0;
}

/* ---- Operations ---- */

static void fill_info(struct arena *a, int fd, const struct stat *stat, const char *key,
                      struct blob_info *ret) {
    char type[256];
    ssize_t n = fgetxattr(fd, TYPE_ATTRIBUTE, type, sizeof(type) - 1);

    ret->size_bytes = (uint64_t)stat->st_size;
    ret->modified_ms =
        (int64_t)stat->st_mtim.tv_sec * 1000 + stat->st_mtim.tv_nsec / 1000000;
    ret->content_type = n > 0 ? arena_memdup(a, type, (size_t)n) : blob_type_of_name(key);
}

static int write_all(int fd, struct bytes body) {
    size_t done = 0;

    while (done < body.len) {
        ssize_t n = write(fd, body.data + done, body.len - done);

        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void temporary_name(char out[64]) {
    unsigned char random[16];
    struct rand *r = rand_system();

    r->fill(r, random, sizeof(random));
    out += sprintf(out, TMP_PREFIX);
    for (size_t i = 0; i < sizeof(random); i++)
        out += sprintf(out, "%02x", random[i]);
}

/* 0, or -1 with errno; errno 0: the source failed and filled *st. */
static int copy_all(int fd, const struct blob_source *source, struct status *st) {
    char *part;
    size_t n = 1;
    int rc = 0, e;

    if (source->whole)
        return write_all(fd, *source->whole);
    if (!(part = malloc(PART_BYTES)))
        abort();
    while (rc == 0 && n > 0) {
        rc = source->pull(source->ctx, part, PART_BYTES, &n, st);
        if (rc < 0)
            errno = 0;
        else
            rc = write_all(fd, (struct bytes){part, n});
    }
    e = errno;
    free(part);
    errno = e;
    return rc;
}

/* Writes the object into `dir`; 0, or -1 with errno. */
static int put_in(int dir, const char *name, const struct blob_source *source,
                  const char *type, struct status *st) {
    char tmp[64];
    int fd, e;

    temporary_name(tmp);
    fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    flock(fd, LOCK_EX | LOCK_NB);
    if (type)
        fsetxattr(fd, TYPE_ATTRIBUTE, type, strlen(type), 0);
    errno = 0;
    if (copy_all(fd, source, st) < 0 || fsync(fd) < 0 ||
        renameat(dir, tmp, dir, name) < 0 || fsync(dir) < 0) {
        e = errno;
        unlinkat(dir, tmp, 0);
        close(fd);
        errno = e;
        return -1;
    }
    close(fd);
    return 0;
}

static int fs_write(struct blob *b, enum blob_bucket bucket, const char *key,
                    const struct blob_source *source, const char *content_type,
                    struct status *st) {
    const char *name;
    int rc = -1, e = ENOENT;

    /* A delete may remove the emptied directory meanwhile: then once more, as long as
       the source can be read again. */
    for (int i = 0; i < PUT_ATTEMPTS && rc < 0 && e == ENOENT; i++) {
        int dir = open_parent(fs_of(b)->dir[bucket], key, true, &name);

        if (dir >= 0)
            rc = put_in(dir, name, source, content_type, st);
        e = errno;
        if (dir >= 0)
            close(dir);
        if (dir >= 0 && !source->whole)
            break;
    }
    if (rc < 0 && e == 0)
        return -1;
    errno = e;
    return rc < 0 ? fail_errno(st, "Writing", key) : 0;
}

struct fs_reader {
    struct blob_reader base;
    int fd;
};

static int reader_pull(struct blob_reader *r, char *buf, size_t max, size_t *ret_len,
                       struct status *st) {
    ssize_t n;

    do
        n = read(((struct fs_reader *)r)->fd, buf, max);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_errno(st, "Reading", "an object");
    *ret_len = (size_t)n;
    return 0;
}

static void reader_close(struct blob_reader *r) {
    close(((struct fs_reader *)r)->fd);
    free(r);
}

static int fs_open(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *key, struct blob_reader **ret_reader,
                   struct blob_info *ret_info, struct status *st) {
    struct fs_reader *r;
    struct stat stat;
    int fd, rc = open_object(fs_of(b), bucket, key, &fd, &stat, st);

    if (rc)
        return rc;
    fill_info(a, fd, &stat, key, ret_info);
    if (!(r = malloc(sizeof(*r))))
        abort();
    *r = (struct fs_reader){{reader_pull, reader_close}, fd};
    *ret_reader = &r->base;
    return 0;
}

static int fs_stat(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *key, struct blob_info *ret_info, struct status *st) {
    struct stat stat;
    int fd, rc = open_object(fs_of(b), bucket, key, &fd, &stat, st);

    if (rc)
        return rc;
    fill_info(a, fd, &stat, key, ret_info);
    close(fd);
    return 0;
}

/* Removes the directories above the key that are empty now. */
static void prune(int bucket, const char *key) {
    char path[BLOB_KEY_MAX + 1];
    const char *name;
    char *slash;
    int dir;

    strcpy(path, key);
    while ((slash = strrchr(path, '/'))) {
        *slash = '\0';
        if ((dir = open_parent(bucket, path, false, &name)) < 0)
            return;
        if (unlinkat(dir, name, AT_REMOVEDIR) < 0) {
            close(dir);
            return;
        }
        close(dir);
    }
}

static int fs_remove(struct blob *b, enum blob_bucket bucket, const char *key,
                     struct status *st) {
    int root = fs_of(b)->dir[bucket], dir, rc, e;
    const char *name;

    dir = open_parent(root, key, false, &name);
    if (dir < 0)
        return errno == ENOENT || errno == ENOTDIR ? 1 : fail_errno(st, "Deleting", key);
    rc = unlinkat(dir, name, 0);
    if (rc == 0)
        rc = fsync(dir);
    e = errno;
    close(dir);
    errno = e;
    if (rc < 0)
        return errno == ENOENT || errno == EISDIR ? 1 : fail_errno(st, "Deleting", key);
    prune(root, key);
    return 0;
}

/* ---- Listing ---- */

struct listing {
    struct arena *arena;
    const char *prefix;
    size_t prefix_len, limit;
    struct array_builder keys;
};

struct name {
    const char
        *text; /* directories with a '/' behind, which is what their keys sort by */
    size_t len;
};

static int by_text(const void *x, const void *y) {
    return strcmp(((const struct name *)x)->text, ((const struct name *)y)->text);
}

static bool is_directory(int dir, const struct dirent *e) {
    struct stat stat;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir, e->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(stat.st_mode);
}

/* The visible names of a directory, sorted; takes dir. */
static struct name *read_names(struct arena *a, int dir, size_t *ret_len) {
    DIR *d = fdopendir(dir);
    struct name *out = NULL;
    size_t n = 0, cap = 0;
    struct dirent *e;

    if (!d) {
        close(dir);
        *ret_len = 0;
        return NULL;
    }
    while ((e = readdir(d))) {
        if (!blob_key_valid(e->d_name) || e->d_type == DT_LNK)
            continue;
        if (n == cap) {
            size_t next = cap ? cap * 2 : 16;

            out = arena_grow(a, out, cap * sizeof(*out), next * sizeof(*out));
            cap = next;
        }
        out[n].text = is_directory(dirfd(d), e) ? arena_printf(a, "%s/", e->d_name)
                                                : arena_strdup(a, e->d_name);
        out[n].len = strlen(out[n].text);
        n++;
    }
    closedir(d);
    if (n)
        qsort(out, n, sizeof(*out), by_text);
    *ret_len = n;
    return out;
}

/* Could a key that starts with `path` start with the prefix? */
static bool is_on_the_way(const struct listing *l, const char *path, size_t len) {
    size_t n = len < l->prefix_len ? len : l->prefix_len;

    return memcmp(path, l->prefix, n) == 0;
}

/* Adds the keys below `path` ("" or "a/b/"); takes dir. */
static void list_dir(struct listing *l, int dir, const char *path, int depth) {
    size_t n;
    int here = dup(dir);
    struct name *names = read_names(l->arena, dir, &n);

    for (size_t i = 0; i < n && l->keys.len < l->limit && here >= 0; i++) {
        const char *key = arena_printf(l->arena, "%s%s", path, names[i].text);
        size_t len = strlen(key);

        if (!is_on_the_way(l, key, len))
            continue;
        if (key[len - 1] == '/') {
            char *folder = arena_memdup(l->arena, names[i].text, names[i].len - 1);
            int next = depth < MAX_DIRS ? open_dir_at(here, folder) : -1;

            if (next >= 0)
                list_dir(l, next, key, depth + 1);
        } else if (len >= l->prefix_len) {
            array_push(&l->keys, value_string(l->arena, key));
        }
    }
    if (here >= 0)
        close(here);
}

static int fs_list(struct blob *b, struct arena *a, enum blob_bucket bucket,
                   const char *prefix, size_t limit, const struct value **ret_keys,
                   struct status *st) {
    struct listing l = {
        .arena = a, .prefix = prefix, .prefix_len = strlen(prefix), .limit = limit};
    int dir = open_dir_at(fs_of(b)->dir[bucket], ".");

    if (dir < 0)
        return fail_errno(st, "Listing", prefix);
    array_begin(&l.keys, a, 0);
    list_dir(&l, dir, "", 0);
    *ret_keys = array_end(&l.keys);
    return 0;
}

/* ---- Addresses ---- */

static int fs_url(struct blob *b, struct arena *a, enum blob_bucket bucket,
                  const char *key, int ttl_s, const char **ret_url, struct status *st) {
    int64_t expires_s = clock_now_ms(clock_system()) / 1000 + ttl_s;

    (void)st;
    if (bucket == BLOB_STATIC)
        *ret_url = arena_printf(a, "%s/static/%s", b->base_uri, blob_key_encode(a, key));
    else
        *ret_url = blob_signed_link(b, a, bucket, key, expires_s);
    return 0;
}

/* ---- Opening ---- */

static void remove_if_left(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(dir, name, 0);
    close(fd);
}

/* Removes temporary files that no living writer holds; takes dir. */
static void clean_dir(int dir, int depth) {
    DIR *d = fdopendir(dir);
    struct dirent *e;
    int next;

    if (!d) {
        close(dir);
        return;
    }
    while ((e = readdir(d))) {
        if (strncmp(e->d_name, TMP_PREFIX, strlen(TMP_PREFIX)) == 0)
            remove_if_left(dirfd(d), e->d_name);
        else if (*e->d_name != '.' && depth < MAX_DIRS && is_directory(dirfd(d), e) &&
                 (next = open_dir_at(dirfd(d), e->d_name)) >= 0)
            clean_dir(next, depth + 1);
    }
    closedir(d);
}

static void fs_close(struct blob *b) {
    struct fs *f = fs_of(b);

    for (int i = 0; i < BLOB_BUCKETS; i++)
        if (f->dir[i] >= 0)
            close(f->dir[i]);
    arena_free(&f->arena);
    free(f);
}

static const struct blob_ops fs_ops = {
    .scheme = "fs",
    .write = fs_write,
    .open = fs_open,
    .stat = fs_stat,
    .remove = fs_remove,
    .list = fs_list,
    .url = fs_url,
    .close = fs_close,
};

static int open_bucket(const char *root, int root_fd, enum blob_bucket bucket,
                       int *ret_fd, struct status *st) {
    const char *name = blob_bucket_name(bucket);
    int clean;

    if ((mkdirat(root_fd, name, 0700) < 0 && errno != EEXIST) ||
        (*ret_fd = open_dir_at(root_fd, name)) < 0)
        return st_fail(st, ST_INTERNAL, "unavailable",
                       "The folder %s/%s can't be used: %s.", root, name,
                       strerror(errno));
    if ((clean = open_dir_at(*ret_fd, ".")) >= 0)
        clean_dir(clean, 0);
    return 0;
}

int blob_open_fs(const char *root, const char *base_uri, const char *signing_secret,
                 struct blob **ret_blob, struct status *st) {
    struct fs *f = calloc(1, sizeof(*f));
    struct blob *b;
    int fd, rc = 0;

    if (!f)
        abort();
    f->base.ops = &fs_ops;
    f->arena = arena_new(0);
    f->base.base_uri = arena_strdup(f->arena, base_uri);
    f->base.secret = arena_strdup(f->arena, signing_secret);
    for (int i = 0; i < BLOB_BUCKETS; i++)
        f->dir[i] = -1;
    mkdir(root, 0700);
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        rc = st_fail(st, ST_INTERNAL, "unavailable", "The folder %s can't be used: %s.",
                     root, strerror(errno));
    for (int i = 0; i < BLOB_BUCKETS && rc == 0; i++)
        rc = open_bucket(root, fd, (enum blob_bucket)i, &f->dir[i], st);
    if (fd >= 0) {
        fsync(fd); /* once for the new folders of all buckets */
        close(fd);
    }
    b = &f->base;
    if (rc < 0)
        blob_close(&b);
    else
        *ret_blob = b;
    return rc;
}
