// A real workspace (53 integrations, their actions and flows) at work: its connectors are
// not to be had, so each integration is given one for a stand-in that keeps records. Every
// action and every flow runs, from each of its triggers; what counts is what the stand-in
// and the workspace's own application hold in the end.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { MembraneClient } from '@membranehq/sdk';

import { startEverything, uploadEverything } from '../lib/everything.mjs';
import { root, runCommand, startServer, until } from '../lib/server.mjs';

let server, app, admin, customer, integrations;
const tables = {}; // unified model -> collections
const collections = {}; // integration -> data source -> collection

before(async () => {
    [app, server] = await Promise.all([startEverything(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    const env = {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    };
    const command = async (...args) => {
        const r = await runCommand(args, env);
        assert.equal(r.code, 0, r.stderr);
        return r.stdout.trim();
    };
    await command('push', join(root, 'test/fixtures/workspace-bidirectional-sync'));
    const client = async (...args) => new MembraneClient({ token: await command('token', ...args), apiUri: server.apiUri });
    [admin, customer] = await Promise.all([client('--admin'), client('--customer', 'ada')]);
    await setOwnApp();
    for (const source of await admin.dataSources.findAll()) {
        const known = (tables[source.udm] ??= [source.udm]);
        if (source.collectionKey && !known.includes(source.collectionKey)) known.push(source.collectionKey);
        if (source.integrationId) collections[source.integrationId] = { ...collections[source.integrationId], [source.key]: source.collectionKey ?? source.udm };
    }
    await uploadEverything(server, app, tables);
    const { id } = await admin.get('connectors/everything');
    integrations = await admin.integrations.findAll();
    for (const i of integrations) {
        const now = await admin.integration(i.id).patch({ connectorId: id, connectorVersion: null, parameters: {} });
        assert.equal(now.state, 'READY', `${i.key}: ${JSON.stringify(now.errors)}`);
        await customer.connections.create({ integrationKey: i.key, input: { account: i.key } });
    }
});
// The workspace's settings are the platform administrator's.
async function setOwnApp() {
    const call = (method, path, token, body) =>
        fetch(server.apiUri + path, {
            method,
            headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
            body: body && JSON.stringify(body),
        }).then((r) => r.json());
    const link = new URL(server.adminUri).searchParams.get('token');
    const { token } = await call('POST', '/auth/link', undefined, { token: link });
    const [workspace] = (await call('GET', '/org-workspaces', token)).items;
    const changed = await call('PATCH', `/org-workspaces/${workspace.id}`, token, { apiBaseUri: app.uri });
    assert.equal(changed.apiBaseUri, app.uri, JSON.stringify(changed));
}
after(async () => {
    app?.stop();
    await server?.stop();
});

// The records that the application holds for a data source of an integration.
function recordsOf(i, source) {
    const account = (app.tables[i.key] ??= {});
    return (account[collections[i.id][source]] ??= []);
}
const seed = (i, source) => {
    const records = recordsOf(i, source);
    records.length = 0;
    for (const id of ['one', 'two', 'three']) records.push({ id, name: `Name of ${id}`, email: `${id}@x.org`, subject: id });
    return records;
};

const data = { name: 'Made', fullName: 'Made', userName: 'Made', primaryEmail: 'Made', firstName: 'Made', subject: 'Made', text: 'Made' };

test('every integration and what it holds is READY with its connector', async () => {
    assert.equal(integrations.length, 53);
    for (const type of ['actions', 'flows', 'dataSources', 'fieldMappings'])
        for (const e of await admin[type].findAll()) assert.equal(e.state, 'READY', `${type} ${e.key} ${JSON.stringify(e.errors)}`);
});

test('every action of every integration does its work', async () => {
    let ran = 0;
    for (const i of integrations)
        for (const action of await admin.actions.findAll({ integrationId: i.id })) {
            const [, verb, what] = /^(\w+)-(user|file|email)s?$/.exec(action.key);
            const records = collections[i.id]?.[`${what}s`] ? seed(i, `${what}s`) : [];
            const run = async (input) => (await customer.connection(i.key).action(action.key).run(input)).output;
            const where = `${i.key} ${action.key}`;
            ran++;
            if (Object.keys(action.config.dataSource).length === 0) {
                // As the workspace has it: the authors left these unfinished.
                await assert.rejects(run({ name: 'x' }), /names no collection/, where);
            } else if (verb !== 'get' && verb !== 'create' && !action.config.id) {
                await assert.rejects(run({ id: 'two' }), /^Error: id: /, where);
            } else if (verb === 'create') {
                const { id } = await run(data);
                assert.equal(records.at(-1).id, id, where);
                assert.equal(records.length, 4, where);
            } else if (verb === 'get') {
                const first = await run({});
                const second = await run({ cursor: first.cursor });
                assert.deepEqual([...first.records, ...second.records].map((r) => r.id), ['one', 'two', 'three'], where);
                assert.equal(first.records[0].rawFields.id, 'one', where);
            } else if (verb === 'update') {
                await run({ id: 'two', fullName: 'Changed', userName: 'Changed', primaryEmail: 'Changed', firstName: 'Changed', name: 'Changed' });
                assert.match(JSON.stringify(records[1]), /Changed/, where);
                assert.doesNotMatch(JSON.stringify([records[0], records[2]]), /Changed/, where);
            } else if (verb === 'delete') {
                await run({ id: 'two' });
                assert.deepEqual(records.map((r) => r.id), ['one', 'three'], where);
            } else assert.fail(`nothing checks ${where}`);
        }
    assert.ok(ran > 150, `${ran} actions`);
});

// Starts a flow at one of its triggers; gives the run when it has ended well.
async function runFlow(i, key, startNodeKey, input) {
    const instance = customer.flowInstance({ flowKey: key, integrationKey: i.key, autoCreate: true });
    const { id } = await instance.startRun({ nodeKey: startNodeKey, input });
    const run = await until(async () => {
        const now = await customer.flowRun(id).get();
        return ['completed', 'failed'].includes(now.state) && now;
    }, `the end of ${i.key} ${key}`);
    assert.equal(run.state, 'completed', `${i.key} ${key}: ${JSON.stringify(run.errors)}`);
    return run;
}

const ids = (what, id) => ({ [`external${what[0].toUpperCase()}${what.slice(1)}Id`]: id, externalRecordId: id });

// The workspace's own app tells of an event: the flow changes the external application.
async function checkSending(i, flow, trigger, what) {
    const records = seed(i, `${what}s`), where = `${i.key} ${flow.key}`;
    const start = (event) => runFlow(i, flow.key, trigger, event);
    await start({ type: 'created', data });
    assert.equal(records.length, 4, where);
    assert.equal(app.told.length, 1, `${where}: the id of what was made is told`);
    assert.match(JSON.stringify(app.told[0].body), new RegExp(records[3].id), where);
    await start({ type: 'updated', data, ...ids(what, 'two') });
    await start({ type: 'deleted', ...ids(what, 'one') });
    assert.deepEqual(records.map((r) => r.id), ['two', 'three', records[2].id], where);
}

// The external application tells of a record: the flow reads it and tells the own app.
async function checkReceiving(i, flow, trigger, what) {
    const record = seed(i, `${what}s`)[1], where = `${i.key} ${flow.key} ${trigger}`;
    const kind = /data-record-(\w+)d-trigger/.exec(flow.nodes[trigger].type)[1];
    await runFlow(i, flow.key, trigger, { record: { id: record.id, fields: record } });
    assert.equal(app.told.length, 1, where);
    assert.equal(app.told[0].path, `/webhooks/on-${kind}`, where);
    assert.equal(app.told[0].body.externalRecordId, 'two', where);
    if (kind !== 'delete') assert.equal(app.told[0].body.data.id, 'two', where);
}

test('every flow runs from each of its triggers, both ways', async () => {
    let flows = 0;
    for (const i of integrations)
        for (const flow of await admin.flows.findAll({ integrationId: i.id })) {
            const what = /(user|file|email)/.exec(flow.key)[1];
            const triggers = Object.keys(flow.nodes).filter((key) => flow.nodes[key].type.endsWith('-trigger'));
            flows++;
            for (const trigger of triggers) {
                app.told.length = 0;
                if (flow.nodes[trigger].type === 'app-event-trigger') await checkSending(i, flow, trigger, what);
                else await checkReceiving(i, flow, trigger, what);
            }
        }
    assert.ok(flows > 100, `${flows} flows`);
});
