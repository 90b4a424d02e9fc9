/*
 * blob_contract.h - what every object store promises, as one list of tests.
 */
#ifndef TEST_CONTRACT_BLOB_CONTRACT_H
#define TEST_CONTRACT_BLOB_CONTRACT_H

struct blob;

/* open gives a new, empty store. clean (may be NULL) runs after it was closed. */
int blob_contract_run(const char *backend, struct blob *(*open)(void),
                      void (*clean)(void));

#endif
