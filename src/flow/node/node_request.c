/*
 * node_request.c - requests: {request, allowNon2xx?}; outputs {data, status, headers}.
 */
#include "flow/flow_node.h"

flow_node_fn node_external_request, node_app_request, node_http_request;

int node_external_request(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "api-request-to-external-app", st);
}

int node_app_request(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "api-request-to-your-app", st);
}

int node_http_request(struct flow_node_call *c, struct status *st) {
    return flow_node_step(c, "http-request", st);
}
