/* Locks, counters and messages of one process. */
#include "contract/coord_contract.h"
#include "coord/coord.h"

int main(void) {
    return coord_contract_run("memory", coord_open_memory, 0);
}
