/*
 * The contract on a MongoDB-protocol server, each test in a database of its own.
 */
#include <stdio.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "contract/store_contract.h"
#include "mongo_peer.h"
#include "store/store.h"

static struct mongo_peer peer;
static int databases;

static struct store *open_new(void) {
    struct arena *a = arena_new(0);
    struct store_mongo_options o = {0};
    struct store *s = NULL;
    struct status st;
    char db[32];

    st_init(&st, a);
    snprintf(db, sizeof(db), "contract%d", databases++);
    o.uri = mongo_peer_uri(&peer, db);
    if (store_open_mongo(&o, &s, &st) < 0)
        print_error("open: %s\n", st.message);
    arena_free(&a);
    return s;
}

int main(void) {
    int rc;

    mongo_peer_start(&peer, false);
    rc = store_contract_run("mongodb", open_new, NULL);
    mongo_peer_stop(&peer);
    return rc;
}
