// Attempts to get out, by code of a job: as root and as an ordinary user, as forks of a zygote and as processes of their
// own. What native code could try is in test/runner/test_runner_escape.c and test_runner_filter.c. S121.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { after, before, test } from 'node:test';

import { binary } from '../lib/server.mjs';
import { startRunner } from './runner.mjs';

const SECRET = 'a-secret-of-at-least-32-characters!';
const NOBODY = { uid: 65534, gid: 65534 };
const isRoot = process.getuid() === 0;
const nobodyMayStart = isRoot && spawnSync(binary, ['version'], NOBODY).status === 0;

let app, uri;
const asked = [];
before(async () => {
    app = createServer((request, response) => {
        asked.push(request.url);
        const to = new URL(request.url, 'http://app').searchParams.get('to');
        if (to) return response.writeHead(302, { location: to }).end();
        response.end('reached');
    });
    await new Promise((done) => app.listen(0, '::', done));
    uri = `http://127.0.0.1:${app.address().port}`;
});
after(() => {
    app.closeAllConnections();
    app.close();
});

// Everything that code could get hold of Node's own `process` and modules by. Gives what it got.
const reachNode = `
const found = {};
const note = (name, fn) => { try { const v = fn(); if (v !== undefined && v !== null && v !== false) found[name] = typeof v === 'object' || typeof v === 'function' ? typeof v : String(v).slice(0, 100); } catch {} };
for (const make of [Function, (async () => {}).constructor, (function* () {}).constructor])
    note('constructor ' + make.name, () => make('return typeof require === "function" || (typeof process !== "undefined" && (process.binding || process.mainModule || process.dlopen || process.kill))')() === true);
note('eval', () => (0, eval)('typeof require') === 'function');
note('binding', () => process.binding('fs'));
note('mainModule', () => process.mainModule);
note('dlopen', () => process.dlopen);
note('getBuiltinModule', () => process.getBuiltinModule?.('fs'));
note('module', () => globalThis.module);
note('native', () => globalThis.native ?? globalThis.LIBRARIES);
note('gc', () => globalThis.gc);
note('environment', () => Object.keys(process.env).length > 0);
`;

const reachSystem = `export default async ({ ppid }) => {
    ${reachNode}
    // The real process and what it imports, if a stack or a hook leads there.
    const real = [];
    Error.prepareStackTrace = (e, frames) => { for (const f of frames) { try { real.push(f.getThis(), f.getFunction()); } catch {} } return ''; };
    try { null.x; } catch (e) { e.stack; }
    const { then } = Promise.prototype, { get } = Map.prototype;
    Map.prototype.get = function (k) { real.push(this, k); return get.call(this, k); };
    await import('crypto').catch(() => {});
    Map.prototype.get = get;
    Error.prepareStackTrace = undefined;
    for (const thing of real.filter(Boolean)) {
        note('leaked process', () => thing.binding || thing.dlopen);
        note('leaked require', () => typeof thing === 'function' && (() => { try { return thing('fs').readFileSync; } catch {} })());
    }
    for (const name of ['fs', 'node:fs', 'fs/promises', 'child_process', 'worker_threads', 'net', 'dgram', 'dns', 'http', 'https', 'http2', 'tls', 'cluster', 'inspector', 'vm', 'v8', 'module', 'os', 'process', 'repl', 'tty', 'wasi', 'sqlite', 'node:sqlite', 'node:test', 'file:///etc/passwd', '/etc/passwd', '../../etc/passwd', './x', 'data:text/javascript,export default 1'])
        await import(name).then((m) => (found['import ' + name] = Object.keys(m).join().slice(0, 50)), () => {});
    return found;
}`;

const addresses = () => [
    uri, uri.replace('127.0.0.1', 'localhost'), uri.replace('127.0.0.1', '127.1'), uri.replace('127.0.0.1', '2130706433'), uri.replace('127.0.0.1', '0x7f000001'), uri.replace('127.0.0.1', '0177.0.0.1'), uri.replace('127.0.0.1', '0.0.0.0'),
    uri.replace('127.0.0.1', '[::1]'), uri.replace('127.0.0.1', '[::ffff:127.0.0.1]'), uri.replace('127.0.0.1', '[::ffff:7f00:1]'), uri.replace('127.0.0.1', '[::]'), uri.replace('127.0.0.1', 'ip6-localhost'), uri.replace('127.0.0.1', hostname()), uri.replace('127.0.0.1', 'LOCALHOST.'),
    uri.replace('127.0.0.1', 'user:pw@127.0.0.1'), 'http://169.254.169.254/latest/meta-data/', 'http://[fd00:ec2::254]/', 'http://metadata.google.internal/', 'http://100.100.100.200/', 'http://169.254.170.2/', 'http://10.0.0.1/', 'http://172.16.0.1/', 'http://192.168.0.1/', 'http://100.64.0.1/',
    'file:///etc/passwd', 'unix:/run/docker.sock', 'ftp://127.0.0.1/', 'gopher://127.0.0.1/', 'dict://127.0.0.1/', 'http://unix:/run/docker.sock:/info',
];

for (const [who, options, modes] of [['root', {}, ['zygote']], ['an ordinary user', NOBODY, ['zygote', 'process']]])
    for (const mode of modes) {
        const started = isRoot ? options : {};
        const skip = (who === 'root' && !isRoot) || (who !== 'root' && isRoot && !nobodyMayStart);
        test(`nothing is reached as ${who}, mode ${mode}`, { skip }, async (t) => {
            const runner = await startRunner({ RUNNER_MODE: mode, RUNNER_JOB_SPACES: '2' }, started);
            const open = await startRunner({ RUNNER_MODE: mode, RUNNER_JOB_SPACES: '2', RUNNER_EGRESS_ALLOW: '127.0.0.1/32' }, started);
            t.after(() => Promise.all([runner.stop(), open.stop()]));

            const system = await runner.run(reachSystem, { ppid: runner.pid });
            assert.deepEqual(system.body.result, {}, JSON.stringify(system.body));

            const fetched = await runner.run('export default async ({ list }) => { const got = [], said = []; await Promise.all(list.map((a) => fetch(a).then((r) => got.push(a), (e) => said.push(a + " " + e.message + " " + e.cause?.message)))); return { got, said }; }', { list: addresses() }, { limits: { timeoutMs: 120_000 } });
            for (const e of fetched.body.result.said)
                assert.match(e, /not a public address|only http|includes credentials|find the address/, 'refused by the policy, not by chance');
            assert.deepEqual(fetched.body.result.got, [], JSON.stringify(fetched.body));
            const by = await runner.run(`import axios from 'axios';
                export default async ({ uri, port }) => {
                    const got = [];
                    const tries = { socketPath: { url: '/info', socketPath: '/run/docker.sock' }, proxy: { url: 'http://example.invalid/', proxy: { host: '127.0.0.1', port } }, lookup: { url: 'http://example.invalid:' + port, lookup: async () => ['127.0.0.1', 4] }, baseURL: { url: '/x', baseURL: uri }, host: { url: uri, headers: { Host: 'example.com' } }, transport: { url: uri, transport: { request: () => got.push('transport') } }, fetch: { url: uri, adapter: 'fetch' }, http: { url: uri, adapter: 'http' }, xhr: { url: uri, adapter: 'xhr' } };
                    for (const [name, config] of Object.entries(tries)) await axios(config).then(() => got.push(name), () => {});
                    return got;
                }`, { uri, port: app.address().port });
            assert.deepEqual(by.body.result, [], JSON.stringify(by.body));
            assert.deepEqual(asked, []);

            // From where the policy allows one address to where it does not: by redirects.
            const redirected = await open.run('export default async ({ uri, list }) => { const got = []; for (const a of list) await fetch(uri + "/?to=" + encodeURIComponent(a)).then((r) => got.push([a, r.status]), () => {}); return got; }',
                { uri, list: [uri.replace('127.0.0.1', '127.0.0.2') + '/elsewhere', uri.replace('127.0.0.1', '[::1]') + '/elsewhere', 'http://169.254.169.254/latest/meta-data/', 'http://10.0.0.1/', 'http://[::ffff:169.254.169.254]/', 'http://2852039166/', 'file:///etc/passwd', '//169.254.169.254/'] });
            assert.deepEqual(redirected.body.result, [], JSON.stringify(redirected.body));
            assert.ok(!asked.includes('/elsewhere'), 'a redirect left what is allowed');
            assert.equal(asked.length, 8, 'each redirect began where it is allowed');
            asked.length = 0;

            // Headers that would smuggle a second request.
            const smuggled = await open.run('export default async ({ uri }) => { const got = []; for (const h of [{ "X-A": "a\\r\\nX-B: b" }, { "X-A\\r\\nX-B": "a" }, { "Transfer-Encoding": "chunked" }, { "Content-Length": "3" }, { Host: "169.254.169.254" }, { Connection: "X-A" }]) await fetch(uri, { method: "POST", headers: h, body: "abcdef" }).then(async (r) => got.push(await r.text()), () => got.push("refused")); return got; }', { uri });
            assert.ok(smuggled.body.result.every((r) => ['refused', 'reached'].includes(r)), JSON.stringify(smuggled.body));
            asked.length = 0;
        });
    }

test('no job sees another one: globals, prototypes, modules, packages, timers, messages', async (t) => {
    const runner = await startRunner({ RUNNER_JOB_SPACES: '4' });
    t.after(() => runner.stop());
    const spoil = `import axios from 'axios'; import _ from 'lodash'; import crypto from 'crypto';
        globalThis.left = 'x'; Object.prototype.left = 'x'; Array.prototype.push = () => 0; String.prototype.trim = () => 'x'; Promise.prototype.then = () => { throw new Error('x'); };
        axios.defaults.baseURL = 'http://left.invalid'; axios.interceptors.request.use(() => { throw new Error('x'); }); _.map = () => 'x'; crypto.createHash = () => 'x'; JSON.parse = () => 'x'; Buffer.prototype.toString = () => 'x'; process.env.LEFT = 'x'; URL.prototype.left = 'x';
        export default () => { setInterval(() => {}, 1); return 1; }`;
    const look = `import axios from 'axios'; import _ from 'lodash'; import crypto from 'crypto';
        export default async () => [typeof globalThis.left, ({}).left, [].push(1), ' a '.trim(), await Promise.resolve(1), axios.defaults.baseURL, axios.interceptors.request.handlers.length, _.map([1], (x) => x)[0], crypto.createHash('md5').update('').digest('hex').length, JSON.parse('1'), Buffer.from('a').toString(), process.env.LEFT, new URL('http://a').left].map(String)`;
    const clean = ['undefined', 'undefined', '1', 'a', '1', 'undefined', '0', '1', '32', '1', 'a', 'undefined', 'undefined'];
    for (let round = 0; round < 4; round++) {
        await runner.run(spoil, {}, { limits: { timeoutMs: 2000 } });
        const seen = await Promise.all(Array.from({ length: 3 }, () => runner.run(look)));
        for (const { body } of seen) assert.deepEqual(body.result, clean, JSON.stringify(body));
    }
});

test('numbers of chance are each job\'s own, whatever draws them', async (t) => {
    const runner = await startRunner({ RUNNER_JOB_SPACES: '4' });
    t.after(() => runner.stop());
    const draw = `import crypto from 'crypto';
        export default async () => {
            const form = new FormData(); form.append('a', '1');
            const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt']);
            return [Math.random(), crypto.randomUUID(), globalThis.crypto.randomUUID(), crypto.randomInt(1e12), crypto.randomBytes(16).toString('hex'), [...globalThis.crypto.getRandomValues(new Uint8Array(16))].join(), new Response(form).headers.get('content-type'), Buffer.from(await crypto.subtle.exportKey('raw', key)).toString('hex'), crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x];
        }`;
    const drawn = [];
    for (let i = 0; i < 6; i++) drawn.push(...(await Promise.all(Array.from({ length: 4 }, () => runner.run(draw)))).map((r) => r.body.result));
    for (let column = 0; column < drawn[0].length; column++) assert.equal(new Set(drawn.map((d) => d[column])).size, drawn.length, `column ${column}: ${drawn[0][column]}`);
});

test('the supervisor\'s secret and a grant are nowhere in a job', async (t) => {
    const runner = await startRunner({ RUNNER_JOB_SPACES: '2', RUNNER_EGRESS_ALLOW: '127.0.0.1/32' });
    t.after(() => runner.stop());
    const grant = { external: { client: { baseUri: uri, headers: { Authorization: `Bearer ${SECRET}` } } }, engine: { baseUri: uri, token: SECRET } };
    const code = `export default async (args) => {
        const seen = new Set(), texts = [];
        const walk = (v, depth) => {
            if (v === null || (typeof v !== 'object' && typeof v !== 'function') || seen.has(v) || depth > 6 || seen.size > 20000) { if (typeof v === 'string') texts.push(v.slice(0, 1000)); return; }
            seen.add(v);
            for (const k of Reflect.ownKeys(v)) { try { walk(v[k], depth + 1); } catch {} }
        };
        const error = await args.externalApiClient.get('/?to=x', {}, {}).catch((e) => e);
        walk([args, globalThis, error], 0);
        return texts.some((t) => t.includes(['a', 'secret', 'of'].join('-')));
    }`;
    const { body } = await runner.run(code, {}, { grant });
    assert.equal(body.result, false, JSON.stringify(body));
    assert.equal(JSON.stringify(body).includes(SECRET), false);
    asked.length = 0;
});
