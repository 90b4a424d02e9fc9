/*
 * workspace_transfer.h - routes that take a workspace out and in: GET /export, POST
 * /import, GET /background-jobs/{id}:{accessKey}.
 */
#ifndef WORKSPACE_WORKSPACE_TRANSFER_H
#define WORKSPACE_WORKSPACE_TRANSFER_H

struct http_router;

void workspace_routes(struct http_router *r);

#endif
