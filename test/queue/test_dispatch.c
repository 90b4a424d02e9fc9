/* The dispatch of one process. */
#include <stddef.h>

#include "contract/dispatch_contract.h"
#include "queue/dispatch.h"

int main(void) {
    return dispatch_contract_run("memory", queue_dispatch_memory);
}
