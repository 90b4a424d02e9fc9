// Runs of flows from start to end: one node, three nodes with a call in the middle, and a
// for-each whose every record is sent upstream. Beside chains of BullMQ jobs (durable as
// Redis with appendfsync everysec makes them) and Node-RED (not durable), in the same run.
//
// BENCH_RUNS (2000), BENCH_CONNECTIONS (64), BENCH_RECORDS (10000).
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Queue, Worker } from 'bullmq';

const here = fileURLToPath(new URL('.', import.meta.url));
const binary = process.env.MEMBRANE_BIN ?? join(here, '../../build/membrane');
const runs = Number(process.env.BENCH_RUNS ?? 2000);
const connections = Number(process.env.BENCH_CONNECTIONS ?? 64);
const records = Number(process.env.BENCH_RECORDS ?? 10000);
const dir = mkdtempSync(join(tmpdir(), 'bench-flows-'));
const children = [];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const start = (command, args, options = {}) => {
    const child = spawn(command, args, { stdio: 'ignore', ...options });
    children.push(child);
    return child;
};
async function until(fn, what, ms = 120_000) {
    for (const end = Date.now() + ms; Date.now() < end; await sleep(10)) {
        const value = await Promise.resolve().then(fn).catch(() => undefined);
        if (value) return value;
    }
    throw new Error(`waited for ${what}`);
}
const freePort = () =>
    new Promise((done) => {
        const s = createServer().listen(0, '127.0.0.1', () => {
            const { port } = s.address();
            s.close(() => done(port));
        });
    });
const tree = (pid) => [pid, ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).flatMap((k) => tree(Number(k)))];
const memoryMb = (pid) =>
    tree(pid).reduce((sum, p) => {
        try {
            return sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'))[1]) / 1024;
        } catch {
            return sum; // it ended meanwhile
        }
    }, 0);

// The application that every step calls: counts what it is told.
let told = 0;
const upstream = http.createServer((request, response) => {
    request.resume().on('end', () => {
        told++;
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
    });
});
await new Promise((done) => upstream.listen(0, '127.0.0.1', done));
const upstreamUri = `http://127.0.0.1:${upstream.address().port}`;

const rows = [];
// Measures fn, which gives when everything is done; watches the memory of pids meanwhile.
async function measure(name, count, unit, pids, fn) {
    let peak = 0;
    const timer = setInterval(() => (peak = Math.max(peak, pids.reduce((s, p) => s + memoryMb(p), 0))), 100);
    const begin = performance.now();
    await fn();
    const seconds = (performance.now() - begin) / 1000;
    clearInterval(timer);
    const line = `| ${name} | ${Math.round(count / seconds)} ${unit}/s | ${Math.round(peak)} MB |`;
    rows.push(line);
    console.log(line);
}

// ---- Membrane ----
async function membrane() {
    const bootstrap = join(dir, 'bootstrap.json');
    const env = { PATH: process.env.PATH, PRIVATE_NETWORK_ALLOW: '127.0.0.1', LOG_LEVEL: 'error' };
    const up = start(binary, ['up', '--data', join(dir, 'data'), '--port', '0', '--bootstrap-file', bootstrap], { env });
    const server = JSON.parse(await until(() => readFileSync(bootstrap, 'utf8'), 'membrane'));
    const cliEnv = { ...env, MEMBRANE_API_URI: server.apiUri, MEMBRANE_WORKSPACE_KEY: server.workspaceKey, MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret };
    const cli = (...args) => execFileSync(binary, args, { encoding: 'utf8', env: cliEnv }).trim();
    const connector = join(dir, 'connector');
    mkdirSync(join(connector, 'auth'), { recursive: true });
    writeFileSync(join(connector, 'spec.yml'), 'key: app\nname: App\nauth: {type: client-credentials, inputSchema: {type: object}}\n');
    writeFileSync(join(connector, 'auth/make-api-client.map.yml'), `baseUri: ${upstreamUri}\n`);
    cli('connector', 'upload', connector);
    const caller = (token) => async (method, path, body) => {
        const r = await fetch(server.apiUri + path, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
        if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`);
        return r.json();
    };
    const admin = caller(cli('token', '--admin'));
    const integration = await admin('POST', '/integrations', { key: 'app', name: 'App', connectorKey: 'app' });
    const api = { type: 'api-trigger' };
    const send = (id) => ({ type: 'api-request-to-external-app', config: { request: { path: '/', method: 'POST', data: { id } } } });
    const flows = {
        one: { start: api },
        three: { start: { ...api, links: [{ key: 'send' }] }, send: { ...send({ $var: '$.input.start.n' }), links: [{ key: 'shape' }] }, shape: { type: 'transform-data', config: { output: { n: { $var: '$.input.start.n' }, ok: { $var: '$.input.send.data.ok' } } } } },
        each: {
            start: { ...api, links: [{ key: 'each' }] },
            each: { type: 'for-each-v2', concurrency: 8, config: { items: { $var: '$.input.start' }, rootNodeKey: 'send' } },
            send: send({ $var: '$.input.each.item' }),
        },
    };
    for (const [key, nodes] of Object.entries(flows)) await admin('POST', '/flows', { key, name: key, integrationId: integration.id, nodes });
    const customers = [];
    for (let i = 0; i < connections; i++) {
        const call = caller(cli('token', '--customer', `c${i}`));
        const connection = await call('POST', '/connections', { integrationKey: 'app', input: {} });
        const of = {};
        for (const key of Object.keys(flows)) of[key] = (await call('GET', `/flow-instance?flowKey=${key}&connectionId=${connection.id}&autoCreate=true`)).id;
        customers.push({ call, of });
    }
    const unfinished = async () => {
        for (const state of ['queued', 'running']) if ((await admin('GET', `/flow-runs?state=${state}&limit=1`)).items.length) return true;
        return false;
    };
    const many = (key) => async () => {
        let next = 0;
        await Promise.all(Array.from({ length: 16 }, async () => {
            for (let i; (i = next++) < runs; ) {
                const { call, of } = customers[i % connections];
                await call('POST', '/flow-runs', { flowInstanceId: of[key], input: { n: i } });
            }
        }));
        await until(async () => !(await unfinished()), 'the runs');
    };
    await measure('membrane, 1 node', runs, 'runs', [up.pid], many('one'));
    told = 0;
    await measure('membrane, 3 nodes with a call', runs, 'runs', [up.pid], many('three'));
    if (told !== runs) throw new Error(`${told} calls for ${runs} runs`);
    told = 0;
    await measure(`membrane, for-each of ${records} records, each sent`, records, 'records', [up.pid], async () => {
        const { call, of } = customers[0];
        await call('POST', '/flow-runs', { flowInstanceId: of.each, input: Array.from({ length: records }, (_, i) => i) });
        await until(async () => !(await unfinished()), 'the run');
    });
    if (told !== records) throw new Error(`${told} calls for ${records} records`);
    up.kill();
}

// ---- BullMQ: a job per node, the next added by the worker of the one before ----
async function bullmq() {
    const port = await freePort();
    const redis = start('redis-server', ['--port', String(port), '--dir', dir, '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '']);
    const connection = { host: '127.0.0.1', port };
    await until(() => new Promise((done) => {
        const s = http.get({ host: '127.0.0.1', port }, () => done(true)).on('error', (e) => done(e.code !== 'ECONNREFUSED'));
        s.setTimeout?.(500);
    }), 'redis');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    const call = (n) => new Promise((done, fail) => {
        const r = http.request(upstreamUri, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (x) => {
            let text = '';
            x.on('data', (d) => (text += d)).on('end', () => done(JSON.parse(text)));
        });
        r.on('error', fail).end(JSON.stringify({ id: n }));
    });
    const chain = async (name, steps, count) => {
        const queues = steps.map((_, i) => new Queue(`${name}-${i}`, { connection }));
        let finished = 0;
        const workers = steps.map((step, i) => new Worker(`${name}-${i}`, async (job) => {
            const output = await step(job.data);
            if (queues[i + 1]) await queues[i + 1].add('step', output);
            else finished++;
        }, { connection, concurrency: 64 }));
        await Promise.all(workers.map((w) => w.waitUntilReady()));
        return {
            queues,
            run: async () => {
                let next = 0;
                await Promise.all(Array.from({ length: 16 }, async () => {
                    for (let i; (i = next++) < count; ) await queues[0].add('step', { n: i });
                }));
                await until(() => finished === count, 'the jobs');
            },
            close: () => Promise.all([...workers, ...queues].map((x) => x.close())),
        };
    };
    const pids = [redis.pid, process.pid];
    const one = await chain('one', [async (d) => d], runs);
    await measure('BullMQ, 1 job', runs, 'runs', pids, one.run);
    await one.close();
    const three = await chain('three', [async (d) => d, async (d) => ({ ...d, ...(await call(d.n)) }), async (d) => ({ n: d.n, ok: d.ok })], runs);
    await measure('BullMQ, chain of 3 jobs with a call', runs, 'runs', pids, three.run);
    await three.close();
    const each = await chain('each', [async (d) => call(d.n)], records);
    await measure(`BullMQ, ${records} jobs, each sent`, records, 'records', pids, each.run);
    await each.close();
    redis.kill();
}

// ---- Node-RED: in memory, nothing survives ----
async function nodeRed() {
    const port = await freePort();
    const userDir = join(dir, 'node-red');
    mkdirSync(userDir);
    const wire = (id, type, more, ...wires) => ({ id, type, z: 'tab', x: 0, y: 0, wires: [wires], ...more });
    writeFileSync(join(userDir, 'flows.json'), JSON.stringify([
        { id: 'tab', type: 'tab', label: 'bench' },
        wire('in1', 'http in', { url: '/one', method: 'post' }, 'out1'),
        wire('out1', 'http response', {}),
        wire('in3', 'http in', { url: '/three', method: 'post' }, 'call'),
        wire('call', 'http request', { method: 'POST', ret: 'obj', url: upstreamUri }, 'shape'),
        wire('shape', 'function', { func: 'msg.payload = {ok: msg.payload.ok}; return msg;' }, 'out3'),
        wire('out3', 'http response', {}),
        wire('ine', 'http in', { url: '/each', method: 'post' }, 'split'),
        wire('split', 'split', {}, 'calle'),
        wire('calle', 'http request', { method: 'POST', ret: 'obj', url: upstreamUri }, 'join'),
        wire('join', 'join', { mode: 'auto' }, 'oute'),
        wire('oute', 'http response', {}),
    ]));
    writeFileSync(join(userDir, 'settings.js'), `module.exports = { uiPort: ${port}, uiHost: '127.0.0.1', flowFile: 'flows.json', logging: { console: { level: 'off' } }, apiMaxLength: '20mb' };`);
    const child = start(process.execPath, [join(here, 'node_modules/node-red/red.js'), '--userDir', userDir]);
    const post = async (path, body) => {
        const r = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
        if (!r.ok) throw new Error(`${r.status}`);
        return r.text();
    };
    await until(() => post('/one', {}).then(() => true), 'Node-RED');
    const many = (path) => async () => {
        let next = 0;
        await Promise.all(Array.from({ length: 16 }, async () => {
            for (let i; (i = next++) < runs; ) await post(path, { n: i });
        }));
    };
    await measure('Node-RED, 1 node (in memory)', runs, 'runs', [child.pid], many('/one'));
    await measure('Node-RED, 3 nodes with a call (in memory)', runs, 'runs', [child.pid], many('/three'));
    await measure(`Node-RED, split of ${records}, each sent (in memory)`, records, 'records', [child.pid], () => post('/each', Array.from({ length: records }, (_, i) => i)));
    child.kill();
}

try {
    console.log('| | throughput | peak memory (PSS) |\n|---|---|---|');
    for (const part of [membrane, bullmq, nodeRed]) await part();
} finally {
    children.forEach((c) => c.kill('SIGKILL'));
    upstream.close();
    rmSync(dir, { recursive: true, force: true });
}
process.exit(0);
