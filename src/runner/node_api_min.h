/*
 * node_api_min.h - the few functions of Node-API that the addon calls.
 *
 * Node-API is a stable C interface: the executable is built without any Node at hand and
 * its addon loads into every Node from 18 on.
 */
#ifndef RUNNER_NODE_API_MIN_H
#define RUNNER_NODE_API_MIN_H

#include <stddef.h>
#include <stdint.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc,
                     napi_value *argv, napi_value *this_arg, void **data);
int napi_create_function(napi_env env, const char *name, size_t len, napi_callback cb,
                         void *data, napi_value *result);
int napi_set_named_property(napi_env env, napi_value object, const char *name,
                            napi_value value);
int napi_get_value_int32(napi_env env, napi_value value, int32_t *result);
int napi_create_int32(napi_env env, int32_t value, napi_value *result);
int napi_get_buffer_info(napi_env env, napi_value value, void **data, size_t *length);
int napi_create_buffer(napi_env env, size_t length, void **data, napi_value *result);
int napi_get_null(napi_env env, napi_value *result);

#define NAPI_AUTO_LENGTH ((size_t)-1)

napi_value napi_register_module_v1(napi_env env, napi_value exports);
int32_t node_api_module_get_api_version_v1(void);

#endif
