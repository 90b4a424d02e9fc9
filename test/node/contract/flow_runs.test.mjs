// Runs of flows on a scripted application: through the SDK, stopped, and killed half-way.
// A run goes on behind its last finished node run after the process was killed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { runCommand, startServer, tempDir, until } from '../lib/server.mjs';

const env = { PRIVATE_NETWORK_ALLOW: '127.0.0.1' };
let server, admin, customer, other, app, connection;

// The application: /items gives `count` items, /seen remembers what it was asked; `gate`
// holds answers of /slow back.
function startApp() {
    const state = { seen: [], gate: Promise.resolve(), count: 200 };
    const listener = http.createServer((request, response) => {
        let raw = '';
        request.on('data', (d) => (raw += d));
        request.on('end', async () => {
            const path = request.url.split('?')[0];
            const body = raw ? JSON.parse(raw) : undefined;
            state.seen.push({ path, body });
            const say = (status, answer) => {
                response.writeHead(status, { 'content-type': 'application/json' });
                response.end(JSON.stringify(answer));
            };
            if (path === '/items') return say(200, { items: Array.from({ length: state.count }, (_, id) => ({ id })) });
            if (path === '/fails') return say(422, { message: 'name is taken' });
            if (path === '/slow') await state.gate;
            return say(200, { got: body });
        });
    });
    return new Promise((done) =>
        listener.listen(0, '127.0.0.1', () =>
            done(
                Object.assign(state, {
                    uri: `http://127.0.0.1:${listener.address().port}`,
                    bodies: (path) => state.seen.filter((s) => s.path === path).map((s) => s.body),
                    // Closes the gate; gives what opens it.
                    hold: () => {
                        let open;
                        state.gate = new Promise((o) => (open = o));
                        return open;
                    },
                    stop: () => (listener.close(), listener.closeAllConnections()),
                }),
            ),
        ),
    );
}

async function client(...args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    return new sdk.MembraneClient({ token: r.stdout.trim(), apiUri: server.apiUri });
}
async function clients() {
    [admin, customer, other] = await Promise.all([client('--admin'), client('--customer', 'ada'), client('--customer', 'bob')]);
}

before(async () => {
    [app, server] = await Promise.all([startApp(), startServer({ env })]);
    const dir = tempDir();
    const files = {
        'spec.yml': 'key: app\nname: App\nauth:\n  type: client-credentials\n  inputSchema: {type: object, properties: {}}\n',
        'auth/make-api-client.map.yml': `baseUri: ${app.uri}\n`,
        'operations/double/run.map.yml': 'twice: {$jsonata: $.input.n * 2}\n',
    };
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const r = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    await clients();
    await admin.integrations.create({ key: 'app', name: 'App', connectorKey: 'app' });
    connection = await customer.connections.create({ integrationKey: 'app', input: {} });
});
after(async () => {
    app?.stop();
    await server?.stop();
});

const request = (path, body) => ({
    type: 'api-request-to-external-app',
    config: { request: { path, method: body ? 'POST' : 'GET', data: body } },
});
const to = (...keys) => ({ links: keys.map((key) => ({ key })) });

let n = 0;
// A flow and its instance on the connection.
async function flow(nodes) {
    const key = `flow-${++n}`;
    await admin.flows.create({ key, name: key, integrationKey: 'app', nodes });
    return customer.flowInstance({ flowKey: key, integrationKey: 'app', autoCreate: true });
}
const ended = (run) =>
    until(async () => {
        const now = await customer.flowRun(run.id).get();
        return ['completed', 'failed', 'stopped'].includes(now.state) && now;
    }, 'the end of the run');
const loop = (path) => ({
    start: { type: 'api-trigger', ...to('list') },
    list: { ...request('/items'), ...to('each') },
    each: {
        type: 'for-each-v2',
        config: { items: { $var: '$.input.list.data.items' }, rootNodeKey: 'send' },
        ...to('sum'),
    },
    send: { ...request(path, { id: { $var: '$.input.each.item.id' } }), ...to('name') },
    name: { type: 'transform-data', config: { output: { $var: '$.input.send.data.got.id' } } },
    sum: { type: 'transform-data', config: { output: { ids: { $var: '$.input.each.name' } } } },
});

test('three nodes run one after the other, and run() of the SDK resolves with the run', async () => {
    const instance = await flow({
        start: { type: 'api-trigger', ...to('ask') },
        ask: { ...request('/ask', { name: { $var: '$.input.start.name' } }), ...to('shape') },
        shape: { type: 'transform-data', config: { output: { hello: { $var: '$.input.ask.data.got.name' }, run: { $var: '$.flowRun.id' } } } },
    });
    const run = await instance.run({ input: { name: 'Ada' } });
    assert.equal(run.state, 'completed');
    assert.equal(run.startNodeKey, 'start');
    assert.deepEqual(run.launchedBy, { type: 'api-trigger' });
    assert.deepEqual(run.nodes.shape, { state: 'completed', runs: 1, erroredRuns: 0, outputs: 1 });
    assert.equal(run.connectionId, connection.id);
    assert.deepEqual(app.bodies('/ask'), [{ name: 'Ada' }]);
    const accessor = customer.flowRun(run.id);
    assert.deepEqual(await accessor.getOutput(), { hello: 'Ada', run: run.id });

    const runs = await accessor.getNodeRuns('shape');
    assert.equal(runs.items.length, 1);
    assert.deepEqual(runs.items[0].input.start, { name: 'Ada' });
    assert.equal(runs.items[0].input.ask.status, 200);
    assert.equal(runs.items[0].upstreamRuns[0].nodeKey, 'ask');
    const one = await accessor.getNodeRun('shape', runs.items[0].id);
    assert.equal(one.status, 'completed');
    const output = await accessor.getNodeOutput('shape', one.outputs[0].id);
    assert.deepEqual(JSON.parse(output.data), { hello: 'Ada', run: run.id });
    assert.equal((await accessor.getNodeOutputs('shape')).items[0].id, one.outputs[0].id);
    const asked = (await accessor.getNodeRuns('ask')).items[0];
    assert.equal(asked.logs[0].type, 'api-request');
    assert.equal(asked.outputs[0].downstreamRuns[0].runId, one.id);

    const list = await customer.flowRuns.find({ connectionFlowId: run.connectionFlowId, state: 'completed' });
    assert.deepEqual(list.items.map((r) => r.id), [run.id]);
    assert.equal((await other.flowRuns.find()).items.length, 0);
    await assert.rejects(other.flowRun(run.id).get(), /not found/i);
});

test('a for-each over 200 records gives its outputs in order, also with several at a time', async () => {
    for (const concurrency of [1, 4]) {
        app.seen.length = 0;
        const nodes = loop('/each');
        nodes.each.concurrency = concurrency;
        const run = await (await flow(nodes)).run();
        assert.equal(run.state, 'completed');
        assert.equal(run.nodes.send.runs, 200);
        const ids = Array.from({ length: 200 }, (_, id) => id);
        assert.deepEqual((await customer.flowRun(run.id).getOutput()).ids, ids);
        assert.deepEqual(app.bodies('/each').map((b) => b.id).sort((a, b) => a - b), ids);
        const first = await customer.flowRun(run.id).getNodeRuns('send');
        assert.equal(first.items.length, 100);
        const second = await customer.flowRun(run.id).getNodeRuns('send', { cursor: first.cursor });
        assert.equal(new Set([...first.items, ...second.items].map((r) => r.id)).size, 200);
        assert.equal(typeof second.items[0].input.each.item.id, 'number');
    }
});

test('an error fails the run, or goes along the link that asks for it', async () => {
    const nodes = (onError) => ({
        start: { type: 'api-trigger', ...to('bad') },
        bad: {
            ...request('/fails', {}),
            onError,
            links: [
                { key: 'good', filter: { $not: { $var: '$.error' } } },
                { key: 'caught', filter: { $var: '$.error.message' } },
            ],
        },
        good: { type: 'transform-data', config: { output: 1 } },
        caught: { type: 'transform-data', config: { output: 'caught' } },
    });
    const stopping = await flow(nodes('stop'));
    await assert.rejects(stopping.run(), /422|name is taken/);
    const [failed] = (await customer.flowRuns.find({ state: 'failed' })).items;
    assert.equal(failed.nodes.bad.erroredRuns, 1);
    assert.equal(failed.nodes.bad.state, 'failed');
    const run = await (await flow(nodes('continue'))).run();
    assert.equal(run.nodes.caught.runs, 1);
    assert.equal(await customer.get(`flow-runs/${run.id}/output/caught`), 'caught');
});

test('filters, actions and operations; a type that is not there is named', async () => {
    await admin.actions.create({ key: 'act', name: 'Act', integrationKey: 'app', ...request('/acted', { $var: '$.input' }) });
    const run = await (
        await flow({
            start: { type: 'api-trigger', ...to('small', 'act', 'double') },
            small: { type: 'filter', config: { filter: [{ field: '$.input.start.n', operator: 'is', value: 1 }] }, ...to('never') },
            never: { type: 'transform-data', config: { output: 1 } },
            act: { type: 'run-action', config: { action: { key: 'act' }, input: { n: { $var: '$.input.start.n' } } } },
            double: { type: 'integration-specific-operation', config: { operationKey: 'double', inputMapping: { n: { $var: '$.input.start.n' } } } },
        })
    ).run({ input: { n: 21 } });
    assert.equal(run.nodes.never, undefined);
    assert.equal((await customer.flowRun(run.id).getNodeRuns('small')).items[0].status, 'skipped');
    const output = await customer.flowRun(run.id).getOutput();
    assert.deepEqual(output.act.data, { got: { n: 21 } });
    assert.deepEqual(output.double, { twice: 42 });
    await assert.rejects((await flow({ start: { type: 'api-trigger', ...to('x') }, x: { type: 'guess-data' } })).run(), /guess-data/);
});

test('a run is repeated, whole or from any node run on with the input recorded there', async () => {
    const nodes = {
        start: { type: 'api-trigger', ...to('list') },
        list: { type: 'transform-data', config: { output: [{ id: 1 }, { id: 2 }] }, ...to('each') },
        each: { type: 'for-each-v2', config: { items: { $var: '$.input.list' }, rootNodeKey: 'send' }, ...to('sum') },
        send: { ...request('/replayed', { who: { $var: '$.input.start.who' }, id: { $var: '$.input.each.item.id' } }), ...to('name') },
        name: { type: 'transform-data', config: { output: { id: { $var: '$.input.send.data.got.id' }, who: { $var: '$.input.start.who' } } } },
        sum: { type: 'transform-data', config: { output: { $var: '$.input.each.name' } } },
    };
    const instance = await flow(nodes);
    const run = await ended(await instance.startRun({ input: { who: 'Ada' } }));
    const replay = async (of, body) => ended(await customer.post(`flow-runs/${of.id}/replay`, body));
    const before = app.bodies('/replayed').length;

    const whole = await replay(run, {});
    assert.equal(whole.state, 'completed', JSON.stringify(whole.errors));
    assert.deepEqual(whole.input, { who: 'Ada' });
    assert.deepEqual(whole.replayOf, { flowRunId: run.id });
    assert.equal(app.bodies('/replayed').length, before + 2);

    // The second item alone, and what follows from it within the loop.
    const second = (await customer.flowRun(run.id).getNodeRuns('send')).items.find((r) => r.input.each.item.id === 2);
    const item = await replay(run, { nodeRunId: second.id });
    assert.equal(item.state, 'completed', JSON.stringify(item.errors));
    assert.equal(item.startNodeKey, 'send');
    assert.deepEqual(app.bodies('/replayed').at(-1), { who: 'Ada', id: 2 });
    assert.deepEqual(await customer.flowRun(item.id).getOutput(), { id: 2, who: 'Ada' });
    const [named] = (await customer.flowRun(item.id).getNodeRuns('name')).items;
    assert.deepEqual(named.input.each, { item: { id: 2 } });
    assert.deepEqual(named.input.start, { who: 'Ada' });

    // A replay of a replay; the flow as it is now, or as it was.
    await admin.flow({ id: (await instance.get()).flowId }).get();
    await customer.flowInstance({ id: run.connectionFlowId }).patch({ nodes: { ...nodes, sum: { type: 'transform-data', config: { output: 'mended' } } } });
    const mended = await replay(whole, { nodeKey: 'sum' });
    assert.equal(await customer.flowRun(mended.id).getOutput(), 'mended');
    const recorded = await replay(mended, { nodeKey: 'sum', asRecorded: true });
    assert.equal(await customer.flowRun(recorded.id).getOutput(), 'mended');
    const old = await replay(run, { nodeKey: 'sum', asRecorded: true });
    assert.deepEqual(await customer.flowRun(old.id).getOutput(), [{ id: 1, who: 'Ada' }, { id: 2, who: 'Ada' }]);

    await assert.rejects(replay(run, { nodeKey: 'send' }), /several times/);
    await assert.rejects(replay(run, { nodeKey: 'absent' }), /not found/i);
    await assert.rejects(replay(run, { nodeRunId: 'absent' }), /not found/i);
    await assert.rejects(other.post(`flow-runs/${run.id}/replay`, {}), /not found/i);
    await customer.flowInstance({ id: run.connectionFlowId }).patch({ nodes: { start: { type: 'api-trigger' } } });
    await assert.rejects(replay(run, { nodeRunId: second.id }), /asRecorded/);
    const open = app.hold();
    const busy = await (await flow(loop('/slow'))).startRun();
    await until(() => app.bodies('/slow').length === 1, 'its first record');
    await assert.rejects(customer.post(`flow-runs/${busy.id}/replay`, {}), /not ended/);
    await customer.flowRun(busy.id).stop();
    open();
    app.seen.length = 0;
});

test('a run is stopped between node runs; stopped stays stopped', async () => {
    const open = app.hold();
    const run = await (await flow(loop('/slow'))).startRun();
    assert.equal(run.state, 'queued');
    await until(() => app.bodies('/slow').length === 1, 'the first record');
    await customer.flowRun(run.id).stop();
    open();
    assert.equal((await ended(run)).state, 'stopped');
    const after = await until(async () => {
        const now = await customer.flowRun(run.id).get();
        return now.nodes.list?.state === 'stopped' && now;
    }, 'the states of the nodes');
    assert.equal(after.state, 'stopped');
    assert.equal(app.bodies('/slow').length, 1);
});

test('runs start by every address, one at a time on a connection', async () => {
    const nodes = { start: { type: 'api-trigger', ...to('x') }, x: { type: 'transform-data', config: { output: { $var: '$.input.start' } } } };
    await admin.flows.create({ key: 'by-key', name: 'By key', integrationKey: 'app', nodes });
    const runs = [
        await customer.connection(connection.id).flow('by-key').run({ input: 1 }),
        await customer.post('flows/by-key/run?integrationKey=app', { input: 2 }),
        await customer.post('flow-instance/run?flowKey=by-key&integrationKey=app&autoCreate=true', { input: 3 }),
    ];
    for (const [i, run] of runs.entries()) {
        assert.equal((await ended(run)).state, 'completed');
        assert.equal(await customer.flowRun(run.id).getOutput(), i + 1);
    }
    assert.equal(new Set(runs.map((r) => r.connectionFlowId)).size, 1);
});

test('killed in the middle, a run goes on: no record is lost, none is sent three times', async () => {
    app.seen.length = 0;
    const open = app.hold();
    app.count = 20;
    const nodes = loop('/each');
    // The eleventh record waits: then the process is killed.
    nodes.send.config.request.path = { $case: { cases: [{ filter: { $eval: { $var: '$.input.each.item.id' }, is: 10 }, value: '/slow' }], default: '/each' } };
    const run = await (await flow(nodes)).startRun();
    await until(() => app.bodies('/slow').length === 1, 'the eleventh record');
    await server.stop('SIGKILL');
    open();
    server = await startServer({ env, dataDir: server.dataDir });
    await clients();
    const now = await ended(run);
    assert.equal(now.state, 'completed');
    assert.deepEqual((await customer.flowRun(run.id).getOutput()).ids, Array.from({ length: 20 }, (_, id) => id));
    assert.deepEqual(now.nodes.send, { state: 'completed', runs: 20, erroredRuns: 0, outputs: 20 });
    assert.equal(app.bodies('/items').length, 1);
    assert.equal(app.bodies('/each').length, 19);
    assert.equal(app.bodies('/slow').length, 2);
    const again = (await customer.flowRun(run.id).getNodeRuns('send')).items.filter((r) => r.logs.some((l) => /cut off/.test(l.msg)));
    assert.equal(again.length, 1);
});
