// The code runner as a service: what code may be, what it is given, what ends it. S12, S121, S124, S135, S163-S165.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startRunner } from './runner.mjs';

let runner;
before(async () => (runner = await startRunner()));
after(() => runner.stop());
const ok = async (code, args, more) => {
    const { status, body } = await runner.run(code, args, more);
    assert.equal(status, 200, JSON.stringify(body));
    return body.result;
};
const fails = async (code, args, more) => {
    const { status, body } = await runner.run(code, args, more);
    assert.ok(status >= 400, JSON.stringify(body));
    return body.error;
};

test('S135: health runs a piece of code and names the layers of isolation', async () => {
    const r = await fetch(`${runner.uri}/api/v2/health`);
    const body = await r.json();
    assert.equal(r.status, 200);
    assert.equal(body.status, 'ok');
    assert.equal(body.isolation.seccomp, true);
    assert.equal(body.isolation.rlimits, true);
});

test('S163, S164, S165: the two documented metrics follow the running jobs', async () => {
    const read = async () => {
        const text = await (await fetch(`${runner.uri}/api/v2/prometheus`)).text();
        const value = (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
        return [value('custom_code_runner_total_job_spaces'), value('custom_code_runner_remaining_job_spaces')];
    };
    assert.deepEqual(await read(), [8, 8]);
    const job = runner.run('export default () => new Promise((r) => setTimeout(r, 1000))');
    while ((await read())[1] !== 7);
    await job;
    assert.deepEqual(await read(), [8, 8]);
});

test('ES modules, CommonJS, TypeScript and top-level await', async () => {
    assert.equal(await ok('export default async ({ x }) => x + 1', { x: 1 }), 2);
    assert.equal(await ok('export default function ({ x }) { return x + 1 }', { x: 1 }), 2);
    assert.equal(await ok('const f = ({ x }) => x * 2;\nexport { f as default }', { x: 4 }), 8);
    assert.equal(await ok('module.exports = async function ({ x }) { return x }', { x: 'a' }), 'a');
    assert.equal(await ok('exports.default = ({ x }) => x', { x: 1 }), 1);
    assert.equal(await ok('const crypto = require("crypto"); module.exports = () => crypto.createHash("md5").update("").digest("hex").length'), 32);
    assert.equal(await ok('interface A { x: number }\nexport default async (a: A): Promise<number> => a.x as number', { x: 3 }), 3);
    assert.equal(await ok('enum E { A = 3 }\nexport default () => E.A'), 3);
    assert.equal(await ok('const x = await Promise.resolve(7);\nexport default () => x'), 7);
    assert.equal(await ok('export function a() { return 1 }\nexport function b() { return 2 }', {}, { entry: 'b' }), 2);
});

test('files of an archive import one another; nothing else can be imported', async () => {
    const modules = {
        'data/list.js': 'import { double } from "../lib/double.js"; import table from "../table.json"; export default ({ x }) => double(x) + table.add',
        'lib/double.js': 'export const double = (x) => 2 * x',
        'table.json': '{"add": 100}',
    };
    assert.equal(await ok(undefined, { x: 4 }, { modules, main: 'data/list.js' }), 108);
    for (const name of ['fs', 'node:fs', 'child_process', 'worker_threads', 'net', 'http', 'inspector', 'left-pad', 'vm', 'constructor', '__proto__', 'module', 'process'])
        assert.equal((await fails(`import x from '${name}';\nexport default () => 1`)).key, 'module_not_allowed', name);
    assert.equal((await fails('export default async () => (await import("fs")).readFileSync')).key, 'module_not_allowed');
    assert.equal((await fails('module.exports = () => require("fs")')).key, 'module_not_allowed');
});

test('the world of customers\' code is there', async () => {
    const types = await ok(`export default () => Object.fromEntries(['fetch', 'Buffer', 'URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder',
        'setTimeout', 'setInterval', 'AbortController', 'structuredClone', 'atob', 'btoa', 'FormData', 'Blob', 'Response', 'Headers', 'ReadableStream', 'queueMicrotask']
        .map((n) => [n, typeof globalThis[n]]))`);
    for (const [name, type] of Object.entries(types)) assert.equal(type, 'function', name);
    assert.equal(await ok('import { createHmac } from "node:crypto";\nexport default () => createHmac("sha256", "k").update("d").digest("hex").length'), 64);
    assert.match(await ok('export default () => crypto.randomUUID()'), /^[0-9a-f-]{36}$/);
    assert.equal(await ok('export default async () => Buffer.from(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("a"))).toString("hex")'), 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb');
    assert.equal(await ok('export default () => new Date(0).toString()'), 'Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)');
});

test('what is returned is what JSON.stringify keeps', async () => {
    assert.equal(await ok('export default () => undefined'), null);
    assert.deepEqual(await ok('export default () => ({ a: undefined, b: new Date(0), c: [NaN, () => 1], d: { toJSON: () => 5 } })'), { b: '1970-01-01T00:00:00.000Z', c: [null, null], d: 5 });
    assert.equal((await fails('export default () => { const a = {}; a.a = a; return a }')).key, 'result_not_json');
    assert.match((await fails('export default () => 1n')).message, /BigInt/);
});

test('the console becomes log entries, bounded', async () => {
    const { body } = await runner.run('export default () => { console.log("a", 1); console.warn("b"); console.error("c"); }');
    assert.deepEqual(body.logs.map((l) => [l.level, l.message]), [['info', 'a 1'], ['warn', 'b'], ['error', 'c']]);
    const many = await runner.run('export default () => { for (let i = 0; i < 1e5; i++) console.log("x".repeat(1e5)) }', {}, { limits: { timeoutMs: 20000 } });
    assert.equal(many.status, 200);
    assert.ok(many.body.logs.length <= 1000 && JSON.stringify(many.body.logs).length < 2e6);
});

test('an error has the place in the author\'s source', async () => {
    const error = await fails('export default () => {\n  const a = 1;\n  throw new TypeError("boom");\n}');
    assert.equal(error.type, 'custom_code');
    assert.match(error.message, /boom/);
    assert.deepEqual([error.data.lineNumber, error.data.columnNumber, error.data.code], [3, 9, '  throw new TypeError("boom");']);
    const syntax = await fails('export default () => {\n  const a = ;\n}');
    assert.match(syntax.message, /Unexpected token/);
    assert.equal(syntax.data.lineNumber, 2);
    const typed = await fails('type T = number;\nexport default (a: { x: T }) => {\n  return (a as any).b.c;\n}');
    assert.equal(typed.data.lineNumber, 3);
    assert.equal((await fails('export default 5')).key, 'no_function');
    assert.match((await fails('export default () => { throw "text" }')).message, /text/);
    assert.match((await fails('export default () => { throw null }')).message, /null/);
});
