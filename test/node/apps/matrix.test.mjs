// A message application for real: Synapse, through the connector of this repository, with
// collections, paging, unified models, operations of its OpenAPI description and flows.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { DataCollectionListResponse, MembraneClient } from '@membranehq/sdk';

import { root, runCommand, startServer, until } from '../lib/server.mjs';
import { password, startSynapse, user } from '../lib/synapse.mjs';

let app, server, admin, customer, connection, room;

async function command(...args) {
    const r = await runCommand(args, {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    return r.stdout.trim();
}
const client = async (...args) => new MembraneClient({ token: await command('token', ...args), apiUri: server.apiUri });

before(async () => {
    [app, server] = await Promise.all([startSynapse(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    await command('connector', 'upload', join(root, 'connectors/matrix'));
    [admin, customer] = await Promise.all([client('--admin'), client('--customer', 'ada')]);
    const integration = await admin.integrations.create({ key: 'matrix', name: 'Matrix', connectorKey: 'matrix' });
    assert.equal(integration.state, 'READY', JSON.stringify(integration.errors));
    connection = await customer.connections.create({ integrationKey: 'matrix', input: { url: app.uri, user, password } });
});
after(async () => {
    app?.stop();
    await server?.stop();
});

const rooms = () => customer.connection('matrix').dataCollection('rooms');
const messages = () => customer.connection('matrix').dataCollection('messages', { room });

test('a wrong password makes no connection', async () => {
    await assert.rejects(
        customer.connections.create({ integrationKey: 'matrix', name: 'wrong', input: { url: app.uri, user, password: 'no' } }),
        /password|403|forbidden/i,
    );
});

test('a room is made, listed and found in the application', async () => {
    room = (await rooms().create({ fields: { name: 'Releases', topic: 'What is new' } })).id;
    const list = DataCollectionListResponse.parse(await rooms().list());
    assert.deepEqual(list.records.map((r) => r.id), [room]);
    assert.equal((await rooms().findById({ id: room })).record.name, 'Releases');
    const name = await app.call('GET', `/rooms/${encodeURIComponent(room)}/state/m.room.name`);
    assert.equal(name.body.name, 'Releases');
});

test('messages are sent, read, edited and removed', async () => {
    const { id } = await messages().create({ fields: { text: 'Version 1 is out' } });
    const read = (await messages().findById({ id })).record;
    assert.equal(read.fields.text, 'Version 1 is out');
    assert.equal(read.fields.sender, '@ada:test.local');
    assert.equal(read.unifiedFields.channelId, room);
    assert.match(read.createdTime, /^\d{4}-\d\d-\d\dT/);
    await messages().update({ id, fields: { text: 'Version 2 is out' } });
    assert.equal((await messages().findById({ id })).record.fields.text, 'Version 2 is out');
    assert.deepEqual((await messages().list()).records.map((r) => r.id), [id], 'an edit is no message');
    await messages().delete({ id });
    assert.deepEqual((await messages().list()).records, []);
    await assert.rejects(messages().create({ fields: {} }), /text/);
});

test('120 messages come in three pages, the newest first', async () => {
    for (let i = 0; i < 120; i++) await messages().create({ fields: { text: `message ${i}` } });
    const texts = [];
    let cursor, pages = 0;
    do {
        const page = DataCollectionListResponse.parse(await messages().list({ cursor }));
        texts.push(...page.records.map((r) => r.fields.text));
        cursor = page.cursor;
        pages++;
    } while (cursor && pages < 10);
    assert.deepEqual(texts, Array.from({ length: 120 }, (_, i) => `message ${119 - i}`));
    assert.ok(pages >= 3);
    const found = await messages().search({ query: '77' });
    assert.deepEqual(found.records.map((r) => r.fields.text), ['message 77']);
});

test('an access token that ended is renewed with the refresh token', async () => {
    await app.allTokensEnd();
    assert.equal((await rooms().list()).records.length, 1);
    await app.allTokensEnd();
    const many = await Promise.all(Array.from({ length: 8 }, () => rooms().list()));
    assert.ok(many.every((page) => page.records.length === 1), 'eight at once renew it once');
    assert.equal((await customer.connection(connection.id).get()).disconnected ?? false, false);
});

test('operations of the OpenAPI description run', async () => {
    const members = await customer.connection('matrix').operation('getJoinedMembers').run({ input: { pathParameters: { room } } });
    const output = members.output ?? members;
    assert.ok(JSON.stringify(output).includes('@ada:test.local'), JSON.stringify(members));
});

test('a flow reads every message of a room and answers in it', async () => {
    await admin.dataSources.create({
        key: 'messages', name: 'Messages', integrationKey: 'matrix', collectionKey: 'messages', collectionParameters: { room },
    });
    const dataSource = { key: 'messages' };
    await admin.flows.create({
        key: 'digest', name: 'Digest', integrationKey: 'matrix',
        nodes: {
            start: { type: 'api-trigger', links: [{ key: 'all' }] },
            all: { type: 'list-data-records', config: { dataSource }, links: [{ key: 'count' }] },
            count: { type: 'transform-data', config: { output: { $jsonata: '$count($.input.all)' } }, links: [{ key: 'say' }] },
            say: {
                type: 'create-data-record',
                config: { dataSource, fieldMapping: { defaultValue: { text: { $concat: ['There are ', { $var: '$.input.count' }, ' messages'] } } } },
            },
        },
    });
    const { id } = await customer.flowInstance({ flowKey: 'digest', integrationKey: 'matrix', autoCreate: true }).startRun({});
    const run = await until(async () => {
        const now = await customer.flowRun(id).get();
        return ['completed', 'failed'].includes(now.state) && now;
    }, 'the end of the run');
    assert.equal(run.state, 'completed', JSON.stringify(run.errors));
    const [newest] = (await messages().list()).records;
    assert.equal(newest.fields.text, 'There are 120 messages');
    assert.equal(newest.id, (await customer.flowRun(id).getOutput()).id);
});

test('disconnecting signs the session out', async () => {
    await customer.connection(connection.id).archive();
    const devices = await app.call('GET', '/devices');
    assert.ok(!devices.body.devices.some((d) => d.display_name === 'Membrane'), JSON.stringify(devices.body));
});
