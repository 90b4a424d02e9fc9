// Redis as operators meet it: found at start, away and back, wrongly configured. S23 S49 S149
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCluster, startRedis } from '../lib/redis.mjs';
import { freePort, launch, runCommand, serveEnv, startServer, startService, tempDir, until } from '../lib/server.mjs';
import { customerToken } from '../lib/workspace.mjs';

const get = async (uri) => (await fetch(uri)).text();
const ready = (uri) => fetch(uri + '/readyz').then((r) => r.status);

test('Redis away: not ready, healthy, redis_up 0; back: ready without a restart', async () => {
    const redis = await startRedis();
    const env = { ...serveEnv(tempDir(), await freePort()), LOG_FORMAT: 'json', REDIS_URI: `redis://127.0.0.1:${redis.port}/` };
    const api = await startService('serve', { ...env, IS_API: '1', IS_INSTANT_TASKS_WORKER: '1' });
    try {
        await until(async () => (await ready(api.uri)) === 200, 'readiness');
        assert.match(await get(api.uri + '/prometheus'), /^redis_up 1$/m);
        await redis.kill();
        await until(async () => (await ready(api.uri)) === 503, 'no readiness');
        const { checks } = await (await fetch(api.uri + '/readyz')).json();
        assert.deepEqual(checks.map((c) => c.name), ['redis']);
        assert.match(checks[0].message, /unreachable/);
        assert.equal((await fetch(api.uri + '/')).status, 200);
        assert.match(await get(api.uri + '/prometheus'), /^redis_up 0$/m);
        await redis.start();
        await until(async () => (await ready(api.uri)) === 200, 'readiness');
        assert.match(await get(api.uri + '/prometheus'), /^redis_up 1$/m);
        const sentences = api.log().map((line) => line.msg ?? line.message);
        assert.ok(sentences.includes('Redis does not answer') && sentences.includes('Redis answers'), api.stderr);
    } finally {
        assert.equal((await api.stop()).code, 0);
        await redis.kill();
    }
});

test('a wrong password and an absent server end the start with 75, and say why', async () => {
    const redis = await startRedis(['--requirepass', 'right']);
    const base = { ...serveEnv(tempDir(), await freePort()), STARTUP_TIMEOUT_SECONDS: '1' };
    const wrong = await runCommand(['serve'], { ...base, REDIS_URI: `redis://:s3cret-w0rd@127.0.0.1:${redis.port}` });
    assert.equal(wrong.code, 75);
    assert.match(wrong.stderr, /auth-failed/);
    assert.match(wrong.stderr, new RegExp(`127.0.0.1:${redis.port}`));
    assert.ok(!wrong.stderr.includes('s3cret-w0rd'));
    await redis.kill();
    const absent = await runCommand(['serve'], { ...base, REDIS_URI: `redis://127.0.0.1:${redis.port}` });
    assert.equal(absent.code, 75);
    assert.match(absent.stderr, /unreachable/);
});

test('a cluster wins over a single server, and a policy that evicts is warned of', async () => {
    const cluster = await startCluster();
    await cluster.say('CONFIG SET maxmemory-policy allkeys-lru');
    const env = {
        ...serveEnv(tempDir(), await freePort()),
        LOG_FORMAT: 'json',
        REDIS_URI: 'redis://127.0.0.1:1',
        REDIS_CLUSTER_URI_1: `redis://127.0.0.1:${cluster.port}`,
    };
    const api = launch(['serve'], env);
    try {
        await until(() => fetch(env.BASE_URI + '/readyz').then((r) => r.ok, () => false), 'readiness');
        assert.match(api.stderr, /REDIS_URI.*not used: the cluster addresses win/);
        assert.match(api.stderr, /may evict.*allkeys-lru/);
    } finally {
        await api.stop();
        await cluster.kill();
    }
});

// Reads a stream until its first event with data.
async function firstEvent(answer) {
    let text = '';
    for await (const chunk of answer.body) {
        text += Buffer.from(chunk).toString();
        const data = /^data: (.*)\n\n/m.exec(text);
        if (data) return JSON.parse(data[1]);
    }
    throw new Error(`the stream ended: ${text}`);
}

test('the result of connecting reaches a stream of another process, early or late', async () => {
    const redis = await startRedis();
    const dataDir = tempDir();
    const secrets = serveEnv(dataDir, 1);
    const first = await startServer({
        dataDir,
        env: { SECRET: secrets.SECRET, ENCRYPTION_SECRET: secrets.ENCRYPTION_SECRET },
    });
    const workspace = { key: first.workspaceKey, secret: first.workspaceSecret };
    await first.stop();
    const start = async () =>
        startService('serve', { ...serveEnv(dataDir, await freePort()), REDIS_URI: `redis://127.0.0.1:${redis.port}` });
    const [a, b] = [await start(), await start()];
    try {
        const token = customerToken(workspace, 'ada');
        const listen = (requestId) => fetch(`${b.uri}/sse/connection-events/${requestId}?token=${token}`);
        const connect = (requestId) =>
            fetch(`${a.uri}/connect`, {
                method: 'POST',
                body: new URLSearchParams({ payload: JSON.stringify({ token, requestId, integrationKey: 'none' }) }),
            });
        const early = await listen('request-1');
        await connect('request-1');
        assert.equal((await firstEvent(early)).type, 'newConnectionFailure');
        await connect('request-2');
        assert.equal((await firstEvent(await listen('request-2'))).type, 'newConnectionFailure');
        // messages are cut off, and the stream still learns of it
        const cut = await listen('request-3');
        await redis.kill();
        await redis.start();
        await until(async () => (await ready(a.uri)) === 200, 'readiness');
        await connect('request-3');
        assert.equal((await firstEvent(cut)).type, 'newConnectionFailure');
    } finally {
        await Promise.all([a.stop(), b.stop()]);
        await redis.kill();
    }
});
