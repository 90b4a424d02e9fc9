/*
 * node_api_min.h - the few functions of Node-API and of libuv that the addon calls.
 *
 * Both are stable C interfaces that Node exports: the executable is built without any
 * Node at hand and its addon loads into every Node from 18 on. libuv's handles are opaque
 * here: their size is asked for at run time.
 */
#ifndef RUNNER_NODE_API_MIN_H
#define RUNNER_NODE_API_MIN_H

#include <stddef.h>
#include <stdint.h>

/* Weak: preloaded, the addon also is in a shell that starts Node, which has none of it.
 */
#define NODE_HAS __attribute__((weak))

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_ref__ *napi_ref;
typedef struct napi_handle_scope__ *napi_handle_scope;
typedef struct napi_async_context__ *napi_async_context;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);

NODE_HAS int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *argc,
                              napi_value *argv, napi_value *this_arg, void **data);
NODE_HAS int napi_create_function(napi_env env, const char *name, size_t len,
                                  napi_callback cb, void *data, napi_value *result);
NODE_HAS int napi_set_named_property(napi_env env, napi_value object, const char *name,
                                     napi_value value);
NODE_HAS int napi_get_value_int32(napi_env env, napi_value value, int32_t *result);
NODE_HAS int napi_create_int32(napi_env env, int32_t value, napi_value *result);
NODE_HAS int napi_get_buffer_info(napi_env env, napi_value value, void **data,
                                  size_t *length);
NODE_HAS int napi_create_buffer(napi_env env, size_t length, void **data,
                                napi_value *result);
NODE_HAS int napi_get_null(napi_env env, napi_value *result);
NODE_HAS int napi_get_global(napi_env env, napi_value *result);
NODE_HAS int napi_create_reference(napi_env env, napi_value value, uint32_t count,
                                   napi_ref *result);
NODE_HAS int napi_get_reference_value(napi_env env, napi_ref ref, napi_value *result);
NODE_HAS int napi_open_handle_scope(napi_env env, napi_handle_scope *result);
NODE_HAS int napi_close_handle_scope(napi_env env, napi_handle_scope scope);
NODE_HAS int napi_make_callback(napi_env env, napi_async_context context, napi_value recv,
                                napi_value func, size_t argc, const napi_value *argv,
                                napi_value *result);
struct uv_loop_s;
NODE_HAS int napi_get_uv_event_loop(napi_env env, struct uv_loop_s **loop);

#define NAPI_AUTO_LENGTH ((size_t)-1)

napi_value napi_register_module_v1(napi_env env, napi_value exports);
int32_t node_api_module_get_api_version_v1(void);

enum { UV_PREPARE = 9, UV_TIMER = 13 }; /* of uv_handle_type */

NODE_HAS int uv_loop_fork(struct uv_loop_s *loop);
NODE_HAS int uv_loop_alive(const struct uv_loop_s *loop);
NODE_HAS void uv_update_time(struct uv_loop_s *loop);
NODE_HAS size_t uv_handle_size(int type);
NODE_HAS void uv_ref(void *handle);
NODE_HAS void uv_unref(void *handle);
NODE_HAS int uv_prepare_init(struct uv_loop_s *loop, void *prepare);
NODE_HAS int uv_prepare_start(void *prepare, void (*cb)(void *prepare));
NODE_HAS int uv_timer_init(struct uv_loop_s *loop, void *timer);
NODE_HAS int uv_timer_start(void *timer, void (*cb)(void *timer), uint64_t ms,
                            uint64_t repeat);

#endif
