/*
 * http_routes.c - gathers the rows of every domain: what the API answers.
 */
#include "action/action_run.h"
#include "auth/auth.h"
#include "collection/collection.h"
#include "connection/connection.h"
#include "connector/connector.h"
#include "data/data.h"
#include "event/event.h"
#include "file/file.h"
#include "flow/flow_run.h"
#include "http/http_server.h"
#include "integration/integration.h"
#include "model/model_checkpoint.h"
#include "model/model_routes.h"
#include "queue/queue.h"
#include "service_priv.h"
#include "workspace/workspace_transfer.h"

void service_api_routes(struct arena *a, struct http_router *r) {
    auth_routes(r);
    model_routes(r);
    model_checkpoint_routes(r);
    connector_routes(r);
    connection_routes(r);
    connection_connect_routes(r);
    connection_events_routes(r);
    connection_request_routes(r);
    action_run_routes(r);
    flow_run_routes(r);
    workspace_routes(r);
    integration_routes(r);
    data_routes(r);
    collection_routes(r);
    event_routes(r);
    file_routes(r);
    queue_routes(r);
    service_openapi_routes(a, r);
}
