/*
 * zip.h - file trees in memory: ZIP archives in and out, directories in (libarchive).
 *
 * Archives come from strangers: absolute paths, "..", links, special files, encrypted
 * entries, duplicate names, too many files and too many bytes are refused before anything
 * is used, and decompression stops at the bound, whatever the headers claim.
 */
#ifndef ZIP_ZIP_H
#define ZIP_ZIP_H

#include <stddef.h>

#include "base/bytes.h"

struct arena;
struct status;

struct zip_file {
    const char *path; /* relative, '/' between segments, no "." or ".." */
    struct bytes body;
};

struct zip_tree {
    struct zip_file *files; /* sorted by path */
    size_t len;
};

struct zip_limits {
    size_t max_files; /* 0: 10,000 */
    size_t max_bytes; /* unpacked, together; 0: 100 MB */
};

/*
 * Unpacks an archive into `a`. When every file lies below one common directory and no
 * file named `anchor` stands at the top, that directory is stripped (people zip the
 * folder). anchor may be NULL. limits may be NULL. -1 bad_request says which entry and
 * why.
 */
int zip_unpack(struct arena *a, struct bytes archive, const char *anchor,
               const struct zip_limits *limits, struct zip_tree *ret_tree,
               struct status *st);
/* Packs a tree; the same tree always gives the same bytes. */
int zip_pack(struct arena *a, const struct zip_tree *tree, struct bytes *ret_archive,
             struct status *st);
/*
 * Reads a directory of the local disk (command line). Hidden files and node_modules are
 * left out; links are not followed.
 */
int zip_read_directory(struct arena *a, const char *dir, const struct zip_limits *limits,
                       struct zip_tree *ret_tree, struct status *st);

/* The file of that path, or NULL. */
const struct zip_file *zip_find(const struct zip_tree *tree, const char *path);
/* Would the path be accepted inside a tree? */
int zip_path_valid(const char *path);

#endif
