// A deployment as the founding document describes it: seven services, each a process of its own,
// from one environment file, on MongoDB, Redis with TLS and a password, and S3 with the role of the
// instance. An action and a task run across them; each service is replaced while clients keep
// calling, and nobody notices. S145-S156
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { startBalancer } from './lib/balancer.mjs';
import { parseMetrics } from './lib/metrics.mjs';
import { startMongo } from './lib/mongodb.mjs';
import { startObjectStore } from './lib/object_store.mjs';
import { startRedis } from './lib/redis.mjs';
import { freePort, launch, runCommand, startServer, tempDir, until } from './lib/server.mjs';

const SECRET = 'k3v9Qm2xT7pLw8RzYb4NcJd6HsGfA1Ue';
const ENCRYPTION_SECRET = 'Zt5rWq8yXo1iPl3kMj7nBh9vGc2fDx4s';

let mongo, redis, store, outside, workspace, env, api, runner;
const processes = {};

// The customer's application, and the instance's metadata service.
function answer(rq, rs) {
    const metadata = '/latest/meta-data/iam/security-credentials/';
    if (rq.url === '/latest/api/token') return rs.end('session');
    if (rq.url === metadata) return rs.end('membrane-role');
    if (rq.url === `${metadata}membrane-role`)
        return rs.end(JSON.stringify({
            AccessKeyId: store.env.AWS_ACCESS_KEY_ID,
            SecretAccessKey: store.env.AWS_SECRET_ACCESS_KEY,
            Expiration: new Date(Date.now() + 3600_000).toISOString(),
        }));
    let raw = '';
    rq.on('data', (data) => (raw += data));
    rq.on('end', () => {
        rs.writeHead(200, { 'content-type': 'application/json' });
        rs.end(JSON.stringify({ got: raw ? JSON.parse(raw) : null }));
    });
}

async function startTlsRedis() {
    const dir = tempDir();
    const file = (name) => join(dir, name);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
        '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', file('key.pem'), '-out', file('cert.pem')], { stdio: 'ignore' });
    const tlsPort = await freePort();
    const server = await startRedis(['--tls-port', String(tlsPort), '--tls-cert-file', file('cert.pem'),
        '--tls-key-file', file('key.pem'), '--tls-ca-cert-file', file('cert.pem'), '--tls-auth-clients', 'no',
        '--requirepass', 'r3dis-w0rd', '--maxmemory-policy', 'noeviction']);
    return Object.assign(server, { uri: `rediss://:r3dis-w0rd@127.0.0.1:${tlsPort}`, ca: file('cert.pem') });
}

// The founding document's example, hosts and secrets changed, as a file.
function exampleFile(apiUri, runnerUri) {
    const file = join(tempDir(), 'example.env');
    writeFileSync(file, [
        '# Core',
        'NODE_ENV=production',
        `BASE_URI=${apiUri}`,
        `CUSTOM_CODE_RUNNER_URI=${runnerUri}`,
        '# Security',
        `SECRET=${SECRET}`,
        `ENCRYPTION_SECRET=${ENCRYPTION_SECRET}`,
        '# Database and queues',
        `MONGO_URI=${mongo.uri('membrane')}`,
        `REDIS_URI=${redis.uri}`,
        '# Storage',
        'STORAGE_PROVIDER=s3',
        'AWS_REGION=eu-west-1',
        `TMP_STORAGE_BUCKET=${store.env.TMP_S3_BUCKET}`,
        `CONNECTORS_STORAGE_BUCKET=${store.env.CONNECTORS_S3_BUCKET}`,
        `STATIC_STORAGE_BUCKET=${store.env.STATIC_S3_BUCKET}`,
        'BASE_STATIC_URI=https://static.example.com',
        '# Authentication',
        'AUTH0_DOMAIN=login.example.com',
        'AUTH0_CLIENT_ID=client',
        'AUTH0_CLIENT_SECRET=n0t-an-example-of-a-secret-at-all',
        '# Limits',
        'ENABLE_LIMITS=true',
        'MAX_NODE_RUN_OUTPUT_SIZE_MB=50',
        '',
    ].join('\n'));
    return file;
}

// What this machine lacks of the real ones: names, authorities, private addresses.
const local = () => ({
    HOST: '127.0.0.1',
    AWS_ENDPOINT_URL_S3: store.uri,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: outside.uri,
    REDIS_TLS_CA_FILE: redis.ca,
    PRIVATE_NETWORK_ALLOW: '127.0.0.1',
    SHUTDOWN_DRAIN_DELAY_SECONDS: '1',
    LOG_FORMAT: 'json',
});

async function start(command, port, more) {
    const running = launch([command], { ...local(), CONFIG_FILE: env, PORT: String(port), ...more });
    running.uri = `http://127.0.0.1:${port}`;
    await until(() => {
        if (running.exited) throw new Error(`${command} ended:\n${running.stderr}`);
        return fetch(`${running.uri}/readyz`).then((r) => r.ok, () => false);
    }, `${command} to be ready`, 60_000);
    return running;
}

const web = (apiUri) => ({
    NEXT_PUBLIC_ENGINE_URI: apiUri,
    NEXT_PUBLIC_ENGINE_API_URI: apiUri,
    NEXT_PUBLIC_ENGINE_UI_URI: 'http://127.0.0.1:1',
    NEXT_PUBLIC_BASE_URI: 'http://127.0.0.1:1',
    NEXT_PUBLIC_AUTH0_DOMAIN: 'login.example.com',
    NEXT_PUBLIC_AUTH0_CLIENT_ID: 'client',
});

// Names of processes: command, what is added, and whose balancer sends to it.
const roles = {
    runner: ['code-runner', {}, 'runner'],
    orchestrator: ['serve', { IS_ORCHESTRATOR: '1' }],
    queued: ['serve', { IS_QUEUED_TASKS_WORKER: '1' }],
    instant: ['serve', { IS_INSTANT_TASKS_WORKER: '1' }],
    api1: ['serve', { IS_API: '1' }, 'api'],
    api2: ['serve', { IS_API: '1' }, 'api'],
    ui: ['ui', {}, 'ui'],
    console: ['console', {}, 'console'],
};
const ports = {};
const balancers = {};
const startRole = (name, port) =>
    start(roles[name][0], port, { ...roles[name][1], ...(['ui', 'console'].includes(name) ? web(api.uri) : {}) });

async function client(...args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_WORKSPACE_KEY: workspace.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: workspace.workspaceSecret,
    });
    return new sdk.MembraneClient({ token: r.stdout.trim(), apiUri: api.uri });
}

// `up` on the same stores makes the first workspace, a connector, an integration, an action and a
// flow; then its processes end and the deployment takes over.
async function makeWorkspace() {
    const up = await startServer({
        env: {
            ...local(), SECRET, ENCRYPTION_SECRET, ...store.env,
            MONGO_URI: mongo.uri('membrane'), REDIS_URI: redis.uri, SHUTDOWN_DRAIN_DELAY_SECONDS: '0',
        },
    });
    workspace = { workspaceKey: up.workspaceKey, workspaceSecret: up.workspaceSecret };
    const dir = tempDir();
    const files = {
        'spec.yml': 'key: app\nname: App\nauth:\n  type: client-credentials\n  inputSchema: {type: object, properties: {}}\n',
        'auth/make-api-client.map.yml': `baseUri: ${outside.uri}\n`,
    };
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const uploaded = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: up.apiUri,
        MEMBRANE_WORKSPACE_KEY: up.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: up.workspaceSecret,
    });
    assert.equal(uploaded.code, 0, uploaded.stderr);
    api = { uri: up.apiUri };
    const admin = await client('--admin');
    const customer = await client('--customer', 'ada');
    await admin.integrations.create({ key: 'app', name: 'App', connectorKey: 'app' });
    await customer.connections.create({ integrationKey: 'app', input: {} });
    const send = { request: { path: '/echo', method: 'POST', data: { a: 1 } } };
    await admin.actions.create({ key: 'send', name: 'send', integrationKey: 'app', type: 'api-request-to-external-app', config: send });
    await admin.flows.create({
        key: 'flow', name: 'flow', integrationKey: 'app',
        nodes: {
            start: { type: 'api-trigger', links: [{ key: 'call' }] },
            call: { type: 'api-request-to-external-app', config: send, links: [{ key: 'code' }] },
            code: { type: 'run-javascript', config: { code: 'export default async () => ({ sum: 40 + 2 })' } },
        },
    });
    await customer.flowInstance({ flowKey: 'flow', integrationKey: 'app', autoCreate: true }).get();
    assert.deepEqual(await up.stop(), { code: 0, signal: null });
}

before(async () => {
    outside = http.createServer(answer).listen(0, '127.0.0.1');
    await new Promise((done) => outside.on('listening', done));
    outside.uri = `http://127.0.0.1:${outside.address().port}`;
    [mongo, redis, store] = await Promise.all([startMongo(), startTlsRedis(), startObjectStore()]);
    await makeWorkspace();
    // Each role has two ports: of the process, and of the one that will replace it.
    for (const name of Object.keys(roles)) ports[name] = [await freePort(), await freePort()];
    const of = (balancer) => Object.keys(roles).filter((name) => roles[name][2] === balancer).flatMap((name) => ports[name]);
    for (const name of ['api', 'runner', 'ui', 'console']) balancers[name] = await startBalancer(of(name));
    api = { uri: balancers.api.uri };
    runner = { uri: balancers.runner.uri };
    env = exampleFile(api.uri, runner.uri);
    await Promise.all(Object.keys(roles).map(async (name) => (processes[name] = await startRole(name, ports[name][0]))));
    await until(() => Object.keys(roles).every((name) => !roles[name][2] || balancers[roles[name][2]].isReady(ports[name][0])), 'the balancers');
});
after(async () => {
    for (const running of Object.values(processes)) running.kill('SIGKILL');
    for (const balancer of Object.values(balancers)) balancer.stop();
    outside?.close();
    outside?.closeAllConnections();
    await Promise.all([mongo?.stop(), redis?.kill(), store?.stop()]);
});

const runAction = async (customer) => customer.action({ key: 'send', integrationKey: 'app' }).run({});
async function runFlow(customer) {
    const instance = await customer.flowInstance({ flowKey: 'flow', integrationKey: 'app' }).get();
    const run = await customer.flowRuns.create({ flowInstanceId: instance.id });
    return until(async () => {
        const now = await customer.flowRun(run.id).get();
        return ['completed', 'failed', 'stopped'].includes(now.state) && now;
    }, 'the end of the run', 90_000);
}

test('every service is healthy and ready, with the role of the instance', async () => {
    const health = { runner: '/api/v2/health', queued: '/prometheus/queued-tasks' };
    for (const [name, running] of Object.entries(processes)) {
        assert.equal((await fetch(running.uri + (health[name] ?? '/'))).status, 200, name);
        assert.equal((await fetch(`${running.uri}/readyz`)).status, 200, name);
    }
    const line = processes.api1.log().find((l) => l.msg === 'object storage');
    assert.equal(line?.store, 'S3 with the credentials of membrane-role (instance metadata)');
    for (const running of Object.values(processes)) assert.ok(!/r3dis-w0rd|n0t-an-example/.test(running.stderr));
});

test('all metrics pass a strict parser', async () => {
    const expected = {
        api1: 'queued_tasks_workers', queued: 'queued_tasks_worker_busy', orchestrator: 'orchestrator_leader',
        runner: 'custom_code_runner_total_job_spaces',
    };
    const path = { runner: '/api/v2/prometheus', queued: '/prometheus/queued-tasks' };
    for (const [name, running] of Object.entries(processes)) {
        const r = await fetch(running.uri + (path[name] ?? '/prometheus'));
        assert.equal(r.status, 200, name);
        const samples = parseMetrics(await r.text());
        if (expected[name]) assert.equal(typeof samples.get(expected[name]), 'number', name);
    }
});

test('an action and a task run across the processes', async () => {
    const customer = await client('--customer', 'ada');
    const { output } = await runAction(customer);
    assert.match(JSON.stringify(output), /"a":1/);
    const run = await runFlow(customer);
    assert.equal(run.state, 'completed', JSON.stringify(run.errors));
});

test('each service is replaced without a request or a task that fails', async () => {
    const customer = await client('--customer', 'ada');
    const failures = [];
    let stop = false, actions = 0, flows = 0, pages = 0;
    const loop = async (fn) => {
        while (!stop) await fn().catch((error) => failures.push(String(error?.stack ?? error)));
    };
    // Not "/": that is their health path too, and says 503 while they drain.
    const page = async () => {
        for (const name of ['ui', 'console']) {
            const { status } = await fetch(balancers[name].uri + '/config.json');
            if (status !== 200) failures.push(`${name} answers ${status}`);
        }
        pages++;
    };
    const clients = [
        loop(async () => (await runAction(customer), actions++)),
        loop(async () => (await runAction(customer), actions++)),
        loop(async () => {
            const run = await runFlow(customer);
            if (run.state !== 'completed') failures.push(`${run.state}: ${JSON.stringify(run.errors)}`);
            flows++;
        }),
        loop(page),
    ];
    for (const name of Object.keys(roles)) {
        const old = processes[name], balancer = balancers[roles[name][2]];
        processes[name] = await startRole(name, ports[name][1]);
        if (balancer) await until(() => balancer.isReady(ports[name][1]), `the new ${name}`);
        const { code, signal } = await old.stop('SIGTERM', 90_000);
        assert.deepEqual({ name, code, signal }, { name, code: 0, signal: null });
    }
    const before = { actions, flows, pages };
    await until(() => actions > before.actions + 3 && flows > before.flows && pages > before.pages, 'work after it all', 90_000);
    stop = true;
    await Promise.all(clients);
    assert.deepEqual(failures, []);
});
