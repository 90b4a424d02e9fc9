// Tasks across processes: the API accepts, workers work, one of two orchestrators leads.
// SIGTERM hands a run back between two nodes; figures are true; a strict parser reads them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { parseMetrics, queuedReplicas, instantReplicas } from '../lib/metrics.mjs';
import { freePort, runCommand, serveEnv, startServer, startService, tempDir, until } from '../lib/server.mjs';

const dataDir = tempDir();
const secrets = (({ SECRET, ENCRYPTION_SECRET }) => ({ SECRET, ENCRYPTION_SECRET }))(serveEnv(dataDir, 1));
const app = { seen: [], waiting: [], isHeld: false };
const services = [];
let listener, workspace, api, customer, apiUri, adminToken;

// Answers what it was sent; while it is held, requests wait in `waiting`.
function startApp() {
    listener = http.createServer((request, response) => {
        let raw = '';
        request.on('data', (d) => (raw += d));
        request.on('end', () => {
            const answer = () => {
                response.writeHead(200, { 'content-type': 'application/json' });
                response.end(JSON.stringify({ got: raw ? JSON.parse(raw) : null }));
            };
            app.seen.push(request.url);
            if (app.isHeld) app.waiting.push(answer);
            else answer();
        });
    });
    return new Promise((done) => listener.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${listener.address().port}`)));
}
function release() {
    app.isHeld = false;
    app.waiting.splice(0).forEach((answer) => answer());
}

async function start(roles, more = {}) {
    const flags = Object.fromEntries(roles.map((role) => [`IS_${role}`, '1']));
    const port = await freePort();
    const service = await startService('serve', {
        ...serveEnv(dataDir, port),
        ...(apiUri ? { BASE_URI: apiUri } : {}),
        PRIVATE_NETWORK_ALLOW: '127.0.0.1',
        ORCHESTRATOR_LEASE_SECONDS: '3',
        ...flags,
        ...more,
    });
    services.push(service);
    return service;
}
const metrics = async (service, path = '/prometheus') => parseMetrics(await (await fetch(service.uri + path)).text());
const gauge = (service, name, value, path) =>
    until(async () => (await metrics(service, path)).get(name) === value, `${name} ${value}`, 60_000);

async function client(...args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_WORKSPACE_KEY: workspace.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: workspace.workspaceSecret,
    });
    return new sdk.MembraneClient({ token: r.stdout.trim(), apiUri });
}

before(async () => {
    const appUri = await startApp();
    // `up` makes the workspace; then its processes are ended and ours take the data.
    const up = await startServer({ dataDir, env: { ...secrets, PRIVATE_NETWORK_ALLOW: '127.0.0.1' } });
    workspace = { workspaceKey: up.workspaceKey, workspaceSecret: up.workspaceSecret };
    apiUri = up.apiUri;
    const dir = tempDir();
    const files = {
        'spec.yml': 'key: app\nname: App\nauth:\n  type: client-credentials\n  inputSchema: {type: object, properties: {}}\n',
        'auth/make-api-client.map.yml': `baseUri: ${appUri}\n`,
    };
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const r = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: apiUri,
        MEMBRANE_WORKSPACE_KEY: workspace.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: workspace.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    const admin = await client('--admin');
    customer = await client('--customer', 'ada');
    await admin.integrations.create({ key: 'app', name: 'App', connectorKey: 'app' });
    await customer.connections.create({ integrationKey: 'app', input: {} });
    const send = (path) => ({
        type: 'api-request-to-external-app',
        config: { request: { path, method: 'POST', data: { a: 1 } } },
    });
    await admin.flows.create({
        key: 'two', name: 'two', integrationKey: 'app',
        nodes: {
            start: { type: 'api-trigger', links: [{ key: 'one' }] },
            one: { ...send('/one'), links: [{ key: 'two' }] },
            two: send('/two'),
        },
    });
    await customer.flowInstance({ flowKey: 'two', integrationKey: 'app', autoCreate: true }).get();
    assert.deepEqual(await up.stop(), { code: 0, signal: null });
    apiUri = undefined;
    api = await start(['API']);
    apiUri = api.uri;
    customer = await client('--customer', 'ada');
});
after(async () => {
    release();
    await Promise.all(services.map((service) => service.stop('SIGKILL')));
    listener?.close();
    listener?.closeAllConnections();
});

const startRun = async () => {
    const instance = await customer.flowInstance({ flowKey: 'two', integrationKey: 'app' }).get();
    return customer.flowRuns.create({ flowInstanceId: instance.id });
};
const ended = (run) =>
    until(async () => {
        const now = await customer.flowRun(run.id).get();
        return ['completed', 'failed', 'stopped'].includes(now.state) && now;
    }, 'the end of the run', 90_000);

// S70 S77 S160 S161 S162 S167, and the hand-back of 6.4
test('figures are true; SIGTERM hands a run back between two nodes, another worker goes on', async () => {
    const runs = [];
    for (let i = 0; i < 3; i++) runs.push(await startRun());
    assert.equal((await customer.flowRun(runs[0].id).get()).state, 'queued'); // there is no worker
    await gauge(api, 'queued_tasks_workers', 0);
    await gauge(api, 'queued_tasks_workers_required', 1); // all on one connection, one at a time
    app.isHeld = true;
    const first = await start(['QUEUED_TASKS_WORKER']);
    await until(() => app.waiting.length === 1, 'the first node', 60_000);
    await gauge(first, 'queued_tasks_worker_busy', 1, '/prometheus/queued-tasks');
    await gauge(api, 'queued_tasks_workers', 1);
    assert.equal((await metrics(api)).get('queued_tasks_workers_required'), 1);
    first.kill('SIGTERM');
    await until(() => first.log().some((line) => line.msg === 'stopping'), 'the end to begin');
    release();
    assert.deepEqual(await first.ended, { code: 0, signal: null });
    assert.ok(first.log().some((line) => line.msg === 'task handed back'), first.stderr);
    assert.deepEqual(app.seen, ['/one']);
    const second = await start(['QUEUED_TASKS_WORKER']);
    for (const run of runs) assert.equal((await ended(run)).state, 'completed');
    assert.deepEqual(app.seen, ['/one', '/two', '/one', '/two', '/one', '/two']); // in order, none twice
    await gauge(second, 'queued_tasks_worker_busy', 0, '/prometheus/queued-tasks');
    await gauge(api, 'queued_tasks_workers_required', 0);
    assert.deepEqual(await second.stop(), { code: 0, signal: null });
});

test('a run is stopped through the API while another process executes it', async () => {
    app.seen.length = 0;
    app.isHeld = true;
    const worker = await start(['QUEUED_TASKS_WORKER'], { TASK_LEASE_SECONDS: '1' });
    const run = await startRun();
    await until(() => app.waiting.length === 1, 'the first node', 60_000);
    await customer.flowRun(run.id).stop();
    // The worker hears of it and ends the call that waits.
    await gauge(worker, 'queued_tasks_worker_busy', 0, '/prometheus/queued-tasks');
    assert.equal((await customer.flowRun(run.id).get()).state, 'stopped');
    release();
    assert.deepEqual(app.seen, ['/one']);
    await worker.stop();
});

// S75: the run fails as timed out, the worker goes on
test('a run over its time fails and the worker lives', async () => {
    app.isHeld = true;
    const worker = await start(['QUEUED_TASKS_WORKER'], { MAX_QUEUED_TASKS_PROCESS_TIME_SECONDS: '5' });
    const late = await ended(await startRun());
    assert.equal(late.state, 'failed');
    assert.match(JSON.stringify(late.errors), /took longer|time/i);
    release();
    assert.equal((await ended(await startRun())).state, 'completed');
    await worker.stop();
});

// S87-S92: one leads; after kill -9 the other does, with every path healthy
test('of two orchestrators one leads; when it is killed the other does', async () => {
    const both = [await start(['ORCHESTRATOR']), await start(['ORCHESTRATOR'])];
    const leads = async (s) => (await metrics(s)).get('orchestrator_leader') === 1;
    await until(async () => (await leads(both[0])) !== (await leads(both[1])), 'one leader', 60_000);
    const at = (await leads(both[0])) ? 0 : 1;
    for (const s of both) assert.equal((await fetch(s.uri + '/')).status, 200);
    await both[at].stop('SIGKILL');
    await until(() => leads(both[1 - at]), 'the other to lead', 60_000);
    assert.deepEqual(await both[1 - at].stop(), { code: 0, signal: null });
});

// S157 S161 S162: the shipped rules of operations.md 7.4 on recorded scrapes
test('autoscaling rules ask for what the scrapes say', () => {
    const scrape = (values) =>
        parseMetrics(Object.entries(values).map(([k, v]) => `# HELP ${k} x\n# TYPE ${k} gauge\n${k} ${v}\n`).join(''));
    const instant = (active, waiting, n = 3) =>
        instantReplicas(Array(n).fill(scrape({ instant_tasks_jobs_active: active, instant_tasks_jobs_waiting: waiting })));
    assert.equal(instant(0, 0), 2); // the least
    assert.equal(instant(4, 7), 3);
    assert.equal(instant(4, 7, 1), 3); // however many API replicas say the same
    assert.equal(instant(20, 5000), 20); // the most
    const queued = (required) => queuedReplicas([scrape({ queued_tasks_workers_required: required })]);
    assert.equal(queued(0), 2);
    assert.equal(queued(5), 7);
    assert.equal(queued(10), 13);
    assert.equal(queued(1000), 50);
});

test('the gauges of the API that rules scale by are parsed strictly, under their exact names', async () => {
    const names = {
        API: ['instant_tasks_jobs_active', 'instant_tasks_jobs_waiting', 'queued_tasks_workers', 'queued_tasks_workers_required'],
    };
    const seen = await metrics(api);
    for (const name of names.API) assert.equal(typeof seen.get(name), 'number', name);
});
