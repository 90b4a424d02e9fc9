/*
 * cloud_stub.h - for tests: services that answer what the test says, in this process:
 * metadata, token and object services. Threads: all at once.
 */
#ifndef TEST_BLOB_CLOUD_STUB_H
#define TEST_BLOB_CLOUD_STUB_H

#include <pthread.h>

#include "../http/http_test.h"

enum { STUB_MAX = 16 };

/* The first rule whose method and start of path fit answers. */
struct stub_rule {
    const char *method, *path;  /* "GET", "/latest/" */
    int status;                 /* 0: 200 */
    const char *body;           /* or NULL */
    const char *header, *value; /* one header of the answer; or NULL */
    int times;                  /* then it is passed over; 0: always there */
};

struct stub {
    struct http_test http;
    pthread_mutex_t mu;
    struct stub_rule rules[STUB_MAX]; /* guarded by: mu */
    size_t rules_len;
    int seen[STUB_MAX];   /* guarded by: mu */
    char *last[STUB_MAX]; /* guarded by: mu; malloc */
};

void stub_start(struct stub *s);
void stub_stop(struct stub *s);
/* Gives the number of the rule. Texts must live as long as the stub. */
int stub_add(struct stub *s, struct stub_rule rule);
void stub_change(struct stub *s, int rule, int status, const char *body);
/* How often it was used. */
int stub_seen(struct stub *s, int rule);
/* The last request: "METHOD path?query\nname: value\n...\n\nbody"; "" when there was
 * none. */
const char *stub_last(struct stub *s, int rule, struct arena *a);
/* "http://127.0.0.1:port" */
const char *stub_uri(struct stub *s, struct arena *a);

#endif
