/*
 * runner_trial.c - the self-test of a zygote: small jobs that touch what breaks first in
 * a fork of a running Node, each with a known end.
 *
 * Garbage collection, compiled and deoptimized code, WebAssembly, the thread pool,
 * timers, streams, randomness, and the ends that a job can come to. One wrong end and no
 * customer's job sees the zygote.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "runner_priv.h"

enum {
    READY_MS = 15000,
    LIMIT_MS = 15000, /* of a trial that shall succeed */
    AHEAD = 4,        /* children that are made ready while a trial runs */
};

static const struct trial {
    const char *name, *code;
    const char *result; /* JSON; NULL: the job fails with key */
    const char *key;
    int limit_ms;
} trials[] = {
    {"a sum", "export default ({ a }) => a.reduce((x, y) => x + y)", "6", NULL, 0},
    {"module.exports", "module.exports = async ({ a }) => a.length", "3", NULL, 0},
    {"await", "await null; export default async () => { await null; return 1 }", "1",
     NULL, 0},
    {"garbage",
     "export default () => { let n = 0; for (let i = 0; i < 300; i++) { const a = "
     "Array.from({ length: 2000 }, (_, k) => ({ k, s: 'x' + k })); n += a.length } "
     "return n }",
     "600000", NULL, 0},
    {"a heap that is kept",
     "export default () => { const a = []; for (let i = 0; i < 200000; i++) a.push({ i, "
     "t: [i, i + 1] }); return a.length }",
     "200000", NULL, 0},
    {"compiled code",
     "const f = (n) => (n < 2 ? n : f(n - 1) + f(n - 2)); export default () => f(24)",
     "46368", NULL, 0},
    {"deoptimized code",
     "const add = (a, b) => a + b; export default () => { let n = 0; for (let i = 0; i < "
     "50000; i++) n = add(n, 1); return add('x', n) }",
     "\"x50000\"", NULL, 0},
    {"WebAssembly",
     "const b = Uint8Array.from([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,"
     "7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]); export default async () => "
     "[new WebAssembly.Instance(new WebAssembly.Module(b)).exports.add(2, 3), (await "
     "WebAssembly.instantiate(b)).instance.exports.add(4, 5)]",
     "[5,9]", NULL, 0},
    {"timers",
     "export default async () => { const t = []; await Promise.all([3, 1, 2].map((n) => "
     "new Promise((r) => setTimeout(() => { t.push(n); r() }, n * 10)))); await new "
     "Promise(setImmediate); return t }",
     "[1,2,3]", NULL, 0},
    {"the thread pool",
     "import { promisify } from 'util'; import zlib from 'zlib'; import crypto from "
     "'crypto'; export default async () => { const z = await "
     "promisify(zlib.gzip)('x'.repeat(1000)); const k = await "
     "promisify(crypto.pbkdf2)('a', 'b', 10, 8, 'sha256'); return [String(await "
     "promisify(zlib.gunzip)(z)).length, k.length] }",
     "[1000,8]", NULL, 0},
    {"subtle",
     "export default async () => Buffer.from(await crypto.subtle.digest('SHA-256', new "
     "TextEncoder().encode('abc'))).toString('hex').slice(0, 8)",
     "\"ba7816bf\"", NULL, 0},
    {"a hash",
     "import crypto from 'crypto'; export default () => crypto.createHmac('sha256', "
     "'k').update('v').digest('hex').length",
     "64", NULL, 0},
    {"streams",
     "import { Readable } from 'stream'; export default async () => { let s = ''; for "
     "await (const x of Readable.from(['a', 'b'])) s += x; return s + await new "
     "Response(new Blob(['c'])).text() }",
     "\"abc\"", NULL, 0},
    {"structured clones",
     "export default () => structuredClone(new Map([[1, { a: 1n "
     "}]])).get(1).a.toString()",
     "\"1\"", NULL, 0},
    {"a large text",
     "export default () => JSON.parse(JSON.stringify('x'.repeat(3e6))).length", "3000000",
     NULL, 0},
    {"an expression", "export default () => 'aXbX'.replace(/x/gi, (m, i) => i)",
     "\"a1b3\"", NULL, 0},
    {"an error", "export default () => { throw new TypeError('t') }", NULL, "", 0},
    {"a promise that can't settle", "export default () => new Promise(() => {})", NULL,
     "never_settles", 0},
    {"a loop", "export default () => { for (;;); }", NULL, "timeout", 100},
    {"a heap without end",
     "export default () => { const a = []; for (;;) a.push(new Array(10000).fill(a)) }",
     NULL, "memory_limit", 0},
    {"buffers without end",
     "export default () => { const a = []; for (;;) a.push(Buffer.alloc(1e7, 1)) }", NULL,
     "memory_limit", 0},
};
enum { TRIALS = sizeof(trials) / sizeof(*trials) };

/* ---- Children ---- */

static int make_ready(struct runner_process *p) {
    int64_t end = clock_monotonic_ms(clock_system()) + READY_MS;
    int rc;

    while ((rc = runner_process_read_ready(p)) == 1) {
        struct pollfd f = {p->socket, POLLIN, 0};
        int64_t left = end - clock_monotonic_ms(clock_system());

        if (left <= 0)
            return -1;
        poll(&f, 1, (int)left);
    }
    return rc;
}

/* ---- One trial ---- */

static const struct value *body_of(struct arena *a, const struct trial *t) {
    struct array_builder b;

    array_begin(&b, a, 3);
    for (int i = 1; i <= 3; i++)
        array_push(&b, value_number(a, i));
    return value_obj(a, "code", value_string(a, t->code), "arguments",
                     value_obj(a, "a", array_end(&b), NULL), "limits",
                     value_obj(a, "timeoutMs",
                               value_number(a, t->limit_ms ? t->limit_ms : LIMIT_MS),
                               "memoryBytes", value_number(a, 96 << 20), NULL),
                     NULL);
}

static int judge(struct runner *r, struct arena *a, const struct trial *t,
                 struct runner_process *p, char *why, size_t size) {
    const struct value *expected = &value_null;
    struct runner_outcome out;
    struct status st;
    int rc;

    st_init(&st, a);
    if (t->result &&
        value_parse(a, t->result, strlen(t->result), NULL, &expected, &st) < 0)
        return -1;
    rc = runner_job_try(r, a, p, body_of(a, t), &out, &st);
    if (t->result && rc == 0 && value_equal(out.result, expected))
        return 0;
    if (!t->result && rc < 0 && strcmp(st.key ? st.key : "", t->key) == 0)
        return 0;
    snprintf(why, size, "%s: %.150s", t->name,
             rc == 0      ? "a wrong result"
             : st.message ? st.message
                          : "it failed");
    return -1;
}

int runner_trial(struct runner *r, unsigned *ret_layers, char *why, size_t size) {
    struct runner_process ahead[TRIALS];
    struct arena *a;
    int forked = 0, done = 0, rc = 0;

    while (rc == 0 && done < TRIALS) {
        while (rc == 0 && forked < TRIALS && forked < done + AHEAD) {
            rc = runner_zygote_fork(&r->zygote, r->zygotes, &ahead[forked]);
            if (rc == 0)
                forked++;
            else
                snprintf(why, size, "no child: %s", strerror(errno));
        }
        if (rc < 0)
            break;
        if (make_ready(&ahead[done]) < 0) {
            runner_process_said(&ahead[done], why, size);
            if (!*why)
                snprintf(why, size, "a child did not get ready");
            rc = -1;
            break;
        }
        *ret_layers = ahead[done].layers;
        a = arena_new(0);
        rc = judge(r, a, &trials[done], &ahead[done], why, size);
        arena_free(&a);
        done++;
    }
    for (int i = done; i < forked; i++)
        runner_process_end(&ahead[i], NULL, NULL);
    return rc;
}
