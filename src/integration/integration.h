/*
 * integration.h - the routes that only integrations have.
 */
#ifndef INTEGRATION_INTEGRATION_H
#define INTEGRATION_INTEGRATION_H

struct http_router;

void integration_routes(struct http_router *r);

#endif
