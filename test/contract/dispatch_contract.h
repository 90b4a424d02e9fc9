/*
 * dispatch_contract.h - the suite that every dispatch of tasks passes
 * (src/queue/dispatch.h).
 */
#ifndef TEST_CONTRACT_DISPATCH_CONTRACT_H
#define TEST_CONTRACT_DISPATCH_CONTRACT_H

struct clock;
struct dispatch_limits;
struct queue_dispatch;

typedef void (*dispatch_contract_limits)(void *ctx, const char *workspace_id,
                                         unsigned queue, unsigned kind,
                                         struct dispatch_limits *ret);

/* open gives an empty dispatch for each test. Gives the number of failed tests. */
int dispatch_contract_run(const char *name,
                          struct queue_dispatch *(*open)(struct clock *,
                                                         dispatch_contract_limits,
                                                         void *));

#endif
