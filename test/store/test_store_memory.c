#include "contract/store_contract.h"
#include "store/store.h"

int main(void) {
    return store_contract_run("memory", store_open_memory, NULL);
}
