/*
 * file.h - files over HTTP: uploads, signed downloads, public static objects.
 */
#ifndef FILE_FILE_H
#define FILE_FILE_H

struct http_router;

/* POST /files, GET /files/{bucket}/{key}?expires&signature, GET /static/{key}. */
void file_routes(struct http_router *r);

#endif
