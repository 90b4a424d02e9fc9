/*
 * blob_contract_cloud.h - what every cloud shows beyond the contract of object stores.
 */
#ifndef TEST_CONTRACT_BLOB_CONTRACT_CLOUD_H
#define TEST_CONTRACT_BLOB_CONTRACT_CLOUD_H

struct blob;
struct cloud_test;

/* open gives a store with its three buckets, made by t, which clean ends. */
int blob_contract_cloud_run(const char *backend, struct blob *(*open)(void),
                            void (*clean)(void), struct cloud_test *t);

#endif
