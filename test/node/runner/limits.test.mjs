// What ends code that does not end by itself: a clear error, in time, and the next job knows nothing of it. S126, S130, S132.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { until } from '../lib/server.mjs';
import { startRunner } from './runner.mjs';

let runner;
before(async () => (runner = await startRunner()));
after(() => runner.stop());

// The job fails with this key, at its limit: not later than 100 ms after it. A machine that is busy may be late with any one
// run, so the best of several counts; none may be late by seconds. The next job works.
async function ends(key, code, limits = {}) {
    for (let attempt = 1; ; attempt++) {
        const { status, body } = await runner.run(code, {}, { limits });
        assert.equal(status, 400, JSON.stringify(body).slice(0, 300));
        assert.equal(body.error.type, 'custom_code');
        assert.equal(body.error.key, key, body.error.message);
        assert.equal((await runner.run('export default () => "next"')).body.result, 'next');
        const late = limits.timeoutMs ? body.usage.durationMs - limits.timeoutMs : 0;
        if (late <= 100) return body;
        assert.ok(late < 10_000 && attempt < 15, `${late} ms after its limit, again and again`);
    }
}

const short = { timeoutMs: 500 };
test('an endless loop', () => ends('timeout', 'export default () => { for (;;); }', short));
test('a loop of microtasks', () => ends('timeout', 'export default async () => { for (;;) await null; }', short));
test('a regular expression that backtracks', () => ends('timeout', 'export default () => /^(a+)+$/.test("a".repeat(40) + "b")', short));
test('a loop while the module loads', () => ends('timeout', 'for (;;);\nexport default () => 1', short));
test('a wait in shared memory', () => ends('timeout', 'export default () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', short));
test('a timer that keeps the job alive', () => ends('timeout', 'export default () => new Promise(() => setInterval(() => {}, 100))', short));
test('a loop after the logs: they are kept', async () => {
    const body = await ends('timeout', 'export default () => { console.log("before"); for (;;); }', { timeoutMs: 5000 });
    assert.equal(body.logs[0].message, 'before');
});
test('a promise that can not settle is found before the limit', async () => {
    const body = await ends('never_settles', 'export default () => new Promise(() => {})', { timeoutMs: 20000 });
    assert.ok(body.usage.durationMs < 20000);
});
const memory = { timeoutMs: 20000, memoryBytes: 100e6 };
test('S130: a heap that grows', () => ends('memory_limit', 'export default () => { const a = []; for (;;) a.push(new Array(1000).fill(Math.random())) }', memory));
test('S130: buffers that grow', () => ends('memory_limit', 'export default () => { const a = []; for (;;) a.push(Buffer.alloc(1e7, 1)) }', memory));
test('S130: memory that is enough with the limit at its default', async () => {
    const code = 'export default () => { const a = []; for (let i = 0; i < 25; i++) a.push(Buffer.alloc(1e7, 1)); return a.length }';
    assert.equal((await runner.run(code, {}, { limits: memory })).status, 400);
    assert.equal((await runner.run(code, {}, { limits: { memoryBytes: 21474836480 } })).body.result, 25);
});
test('deep recursion', async () => {
    const { body } = await runner.run('const f = () => f() + 1;\nexport default () => f()');
    assert.match(body.error.message, /call stack/);
    assert.equal(body.error.data.lineNumber, 1);
});
test('huge output', async () => {
    await ends('output_limit', 'export default () => "x".repeat(30e6)');
    await ends('output_limit', 'export default () => "x".repeat(2000)', { outputBytes: 1000 });
    const { body } = await runner.run('export default () => "x".repeat(19e6)');
    assert.equal(body.result.length, 19e6);
});
test('an error thrown later, a rejection nobody handles', async () => {
    assert.match((await runner.run('export default () => new Promise(() => setTimeout(() => { throw new Error("late") }, 5))')).body.error.message, /late/);
    assert.match((await runner.run('export default () => { Promise.reject(new Error("lost")); return new Promise((r) => setTimeout(r, 100)) }')).body.error.message, /lost/);
});
test('too many requests', async () => {
    const { body } = await runner.run('export default async () => { let e; for (let i = 0; i < 1100; i++) await fetch("http://127.0.0.1:1").catch((x) => (e = x.cause.key)); return e }');
    assert.equal(body.result, 'request_limit');
});

test('nothing passes from one job to the next', async () => {
    await runner.run('Object.prototype.polluted = 1; globalThis.secret = 2; Array.prototype.map = () => "owned"; JSON.stringify = () => "x"; export default () => 1');
    const { body } = await runner.run('export default () => [({}).polluted ?? 0, typeof secret, [1].map((x) => x)[0]]');
    assert.deepEqual(body.result, [0, 'undefined', 1]);
    const randoms = await Promise.all(Array.from({ length: 6 }, () => runner.run('export default () => [Math.random(), crypto.randomUUID()]')));
    assert.equal(new Set(randoms.map((r) => r.body.result[0])).size, 6);
    assert.equal(new Set(randoms.map((r) => r.body.result[1])).size, 6);
});

test('a job that forges what the supervisor reads hurts only itself', async () => {
    // Prototype tricks that change the frames the process sends.
    const { status, body } = await runner.run('export default () => { Buffer.from = () => ({}); return 1 }', {}, { limits: short });
    assert.ok(status === 200 || status === 400, JSON.stringify(body));
    assert.equal((await runner.run('export default () => 1')).body.result, 1);
});

test('S132: full means 503 with Retry-After, at once', async () => {
    const jobs = Array.from({ length: 8 }, (_, i) => runner.run('export default () => new Promise(() => setInterval(() => {}, 1000))', {}, { id: `full-${i}`, limits: { timeoutMs: 15000 } }));
    await until(async () => (await (await fetch(`${runner.uri}/api/v2/health`)).json()).remainingJobSpaces === 0, 'all spaces to be taken');
    const refused = await runner.run('export default () => 1');
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '1');
    await until(async () => {
        for (let i = 0; i < 8; i++) await runner.cancel(`full-${i}`);
        return (await (await fetch(`${runner.uri}/api/v2/health`)).json()).remainingJobSpaces === 8;
    }, 'the jobs to be cancelled');
    for (const job of jobs) assert.equal((await job).body.error.key, 'cancelled');
});

