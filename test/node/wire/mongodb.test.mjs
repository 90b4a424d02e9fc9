// Several processes on one MongoDB, and what its outage looks like from outside: requests
// answer 503, health stays good, readiness fails, nothing has to be started again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startMongo } from '../lib/mongodb.mjs';
import { freePort, serveEnv, startServer, startService, until } from '../lib/server.mjs';
import { adminToken, caller, workspaceOf } from '../lib/workspace.mjs';

let mongo, processes, calls;

before(async () => {
    mongo = await startMongo({ durable: true });
    const MONGO_URI = mongo.uri('shared') + '?serverSelectionTimeoutMS=1000';
    const { SECRET, ENCRYPTION_SECRET } = serveEnv('', 0);
    const first = await startServer({ env: { MONGO_URI, SECRET, ENCRYPTION_SECRET } });
    const port = await freePort();
    const second = await startService('serve', { ...serveEnv(first.dataDir, port), MONGO_URI, IS_API: '1' });
    const token = adminToken(workspaceOf(first));
    processes = [
        { running: first, uri: first.apiUri },
        { running: second, uri: second.uri },
    ];
    calls = processes.map(({ uri }) => caller(uri, token));
});

after(async () => {
    await Promise.all((processes ?? []).map(({ running }) => running.stop()));
    await mongo?.stop();
});

const status = (uri, path) => fetch(uri + path).then((answer) => answer.status);

// S7 (any number of API processes), on one database
test('what one process wrote the other serves at once', async () => {
    for (let i = 0; i < 10; i++) {
        const [write, read] = i % 2 ? calls : [calls[1], calls[0]];
        const made = await write('POST', '/actions', { key: `a-${i}`, name: `A ${i}` });
        assert.ok(made.status < 300, made.text);
        const got = await read('GET', `/actions/${made.body.id}`);
        assert.equal(got.body?.name, `A ${i}`, got.text);
        const renamed = await read('PATCH', `/actions/${made.body.id}`, { name: `B ${i}` });
        assert.ok(renamed.status < 300, renamed.text);
        assert.equal((await write('GET', `/actions/${made.body.id}`)).body.name, `B ${i}`);
        const again = await read('POST', '/actions', { key: `a-${i}`, name: 'again' });
        assert.equal(again.status, 400, again.text);
    }
    const [x, y] = await Promise.all(calls.map((call) => call('GET', '/actions?limit=100')));
    assert.deepEqual(x.body, y.body);
});

test('of two processes that make the same key at once one wins', async () => {
    for (let i = 0; i < 5; i++) {
        const made = await Promise.all(calls.map((call) => call('POST', '/actions', { key: `race-${i}`, name: 'r' })));
        const statuses = made.map((m) => m.status).sort();
        assert.ok(statuses[0] < 300 && statuses[1] === 400, made.map((m) => m.text).join());
    }
});

test('an outage is a 503 and ends without a restart', async () => {
    const made = await calls[0]('POST', '/actions', { key: 'kept', name: 'kept' });
    assert.ok(made.status < 300, made.text);
    await mongo.kill();
    for (const [i, { uri }] of processes.entries()) {
        const answer = await calls[i]('GET', '/actions');
        assert.equal(answer.status, 503, answer.text);
        assert.equal(answer.body.key, 'unavailable', answer.text);
        assert.equal(await status(uri, '/'), 200);
        assert.equal(await status(uri, '/livez'), 200);
        assert.equal(await status(uri, '/readyz'), 503);
    }
    await mongo.restart();
    for (const [i, { uri, running }] of processes.entries()) {
        await until(async () => (await status(uri, '/readyz')) === 200, 'readiness', 60_000);
        const answer = await calls[i]('GET', `/actions/${made.body.id}`);
        assert.equal(answer.body?.name, 'kept', answer.text);
        assert.equal(running.exited, false);
    }
});
