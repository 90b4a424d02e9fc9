/*
 * workspace_transfer.c - export and import over HTTP.
 *
 * An export takes milliseconds, so it is made at once; clients that expect a job get one
 * that is completed already, and a link to the zip. A client that accepts nothing but
 * JSON gets the export object itself.
 */
#include "workspace_transfer.h"

#include <string.h>

#include "auth/auth.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/config.h"
#include "deps/deps.h"
#include "http/http.h"
#include "http/http_server.h"
#include "model/model.h"
#include "model/model_import.h"
#include "store/store.h"
#include "value/value.h"
#include "workspace_files.h"
#include "zip/zip.h"

/* ---- Export ---- */

static int make_export(const struct request *rq, const char *workspace_id,
                       const struct value **ret_export, struct status *st) {
    return model_export(model_view_new(rq->deps, rq->arena, NULL, workspace_id),
                        ret_export, st);
}

static const char *base_uri(const struct deps *deps) {
    return deps->config && deps->config->base_uri ? deps->config->base_uri : "";
}

static int start_job(struct request *rq, struct reply *rp, struct status *st) {
    struct arena *a = rq->arena;
    const char *id = id_new(rq->deps->clock, rq->deps->rand, a);
    const char *key = token_new(rq->deps->rand, a, 24);
    const char *now = clock_iso_now(rq->deps->clock, a);
    const char *uri =
        arena_printf(a, "%s/background-jobs/%s:%s", base_uri(rq->deps), id, key);
    const struct value *result =
        value_obj(a, "downloadUrl", value_stringf(a, "%s/download", uri), NULL);
    const struct value *doc =
        value_obj(a, "id", value_string(a, id), "workspaceId",
                  value_string(a, rq->caller->workspace_id), "accessKey",
                  value_string(a, key), "type", value_string(a, "export"), "status",
                  value_string(a, "completed"), "progress", value_number(a, 100),
                  "result", result, "createdAt", value_string(a, now), NULL);

    if (store_insert(rq->deps->store, C_ASYNC_REQUESTS, doc, st) < 0)
        return -1;
    reply_header(rp, "Location", uri);
    return reply_json(rp, 200,
                      value_obj(a, "jobId", value_string(a, id), "accessKey",
                                value_string(a, key), "backgroundJobUrl",
                                value_string(a, uri), NULL));
}

static int export_api(struct request *rq, struct reply *rp, struct status *st) {
    const char *accept = request_header(rq, "accept");
    const struct value *out;

    if (!accept || strcmp(accept, "application/json") != 0)
        return start_job(rq, rp, st);
    if (make_export(rq, rq->caller->workspace_id, &out, st) < 0)
        return -1;
    return reply_json(rp, 200, out);
}

/* The job of "<id>:<access key>"; whoever knows the key may look. */
static int find_job(struct request *rq, const struct value **ret_job, struct status *st) {
    const char *text = rq->param[0], *colon = strchr(text, ':');
    int rc = 1;

    if (colon)
        rc =
            store_get(rq->deps->store, rq->arena, C_ASYNC_REQUESTS,
                      arena_memdup(rq->arena, text, (size_t)(colon - text)), ret_job, st);
    if (rc == 0 && !value_equals_text(value_get(*ret_job, "accessKey"), colon + 1))
        rc = 1;
    return rc == 1 ? st_fail(st, ST_BAD_REQUEST, "not_found", "job not found") : rc;
}

static int job_api(struct request *rq, struct reply *rp, struct status *st) {
    static const char *const shown[] = {"id",     "status", "progress",
                                        "result", "error",  NULL};
    const struct value *job;

    if (find_job(rq, &job, st) < 0)
        return -1;
    return reply_json(rp, 200, value_pick(rq->arena, job, shown));
}

static int download_api(struct request *rq, struct reply *rp, struct status *st) {
    const struct value *job, *out;
    struct zip_tree tree;
    struct bytes archive;

    if (find_job(rq, &job, st) < 0)
        return -1;
    if (!value_equals_text(value_get(job, "type"), "export"))
        return st_fail(st, ST_BAD_REQUEST, "not_found", "the job has no file");
    if (make_export(rq, value_get_string(job, "workspaceId", ""), &out, st) < 0 ||
        workspace_files_write(rq->arena, out, &tree, st) < 0 ||
        zip_pack(rq->arena, &tree, &archive, st) < 0)
        return -1;
    reply_header(rp, "Content-Disposition", "attachment; filename=\"workspace.zip\"");
    return reply_bytes(rp, 200, "application/zip", archive);
}

/* ---- Import ---- */

/* The export object of the body: JSON as it is, or a zip of files. */
static int read_import(struct request *rq, const struct value **ret_object,
                       bool *ret_dry_run, struct status *st) {
    const char *type = request_header(rq, "content-type");
    struct request_part part, field;
    struct zip_tree tree;
    int rc;

    *ret_dry_run = request_query_bool(rq, "dryRun", false);
    if (!type || strncasecmp(type, "multipart/form-data", 19) != 0) {
        const struct value *body;
        if (request_object(rq, &body, st) < 0)
            return -1;
        *ret_object = body;
        return 0;
    }
    rc = request_part(rq, NULL, &part, st);
    if (rc == 1)
        return st_fail(st, ST_BAD_REQUEST, NULL, "the form has no file");
    if (rc < 0 || (rc = request_part(rq, "dryRun", &field, st)) < 0)
        return -1;
    if (rc == 0)
        *ret_dry_run |= field.body.len == 4 && memcmp(field.body.data, "true", 4) == 0;
    return zip_unpack(rq->arena, part.body, NULL, NULL, &tree, st) < 0
               ? -1
               : workspace_files_read(rq->arena, &tree, ret_object, st);
}

static int import_api(struct request *rq, struct reply *rp, struct status *st) {
    struct model_import_options o = {.partial = request_query_bool(rq, "partial", false)};
    const struct value *object, *result;

    if (read_import(rq, &object, &o.dry_run, st) < 0)
        return -1;
    /* {export: {...}, dryRun?, partial?} is understood, too. */
    if (value_is_object(value_get(object, "export"))) {
        o.dry_run |= value_get_bool(object, "dryRun", false);
        o.partial |= value_get_bool(object, "partial", false);
        object = value_get(object, "export");
    }
    if (model_import(rq->deps, rq->arena, rq->caller, rq->caller->workspace_id, object,
                     &o, &result, st) < 0)
        return -1;
    return reply_json(rp, 200, result);
}

static const struct route routes[] = {
    {HTTP_GET, "/export", export_api, ACCESS_ADMIN, 0,
     "The workspace's elements: as a finished job with a zip to download, or with "
     "Accept: "
     "application/json as one object.",
     NULL, NULL, "Export", NULL},
    {HTTP_POST, "/import", import_api, ACCESS_ADMIN, ROUTE_RAW_BODY,
     "Makes the workspace equal to an export object or a zip of files.", "dryRun,partial",
     "Export", "ImportResult", NULL},
    {HTTP_GET, "/background-jobs/{jobId}:{accessKey}", job_api, ACCESS_NONE, 0,
     "The state of a job.", NULL, NULL, "AsyncRequest", NULL},
    {HTTP_GET, "/background-jobs/{jobId}:{accessKey}/download", download_api, ACCESS_NONE,
     0, "The file that a job made.", NULL, NULL, NULL, NULL},
};

void workspace_routes(struct http_router *r) {
    http_router_add(r, routes, sizeof routes / sizeof *routes);
}
