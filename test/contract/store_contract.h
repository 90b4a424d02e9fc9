/*
 * store_contract.h - what every document store promises, as one list of tests.
 *
 * A backend's test calls store_contract_run() with functions that open an empty store and
 * remove what it left behind.
 */
#ifndef TEST_CONTRACT_STORE_CONTRACT_H
#define TEST_CONTRACT_STORE_CONTRACT_H

struct store;

/* open gives a new, empty store. clean (may be NULL) runs after it was closed. */
int store_contract_run(const char *backend, struct store *(*open)(void),
                       void (*clean)(void));

#endif
