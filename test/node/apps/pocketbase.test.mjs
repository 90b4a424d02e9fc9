// The whole way with a real application: the unmodified SDK creates a customer, connects
// PocketBase through the connector of this repository and drives it with actions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';

import {
    DataCollectionFindByIdResponse,
    DataCollectionListResponse,
    DataCollectionMatchResponse,
    MembraneClient,
} from '@membranehq/sdk';

import { identity, password, startPocketBase } from '../lib/pocketbase.mjs';
import { root, runCommand, startServer } from '../lib/server.mjs';

let app, server, admin, customer, integration;

// A workspace token as a host application signs it.
async function token(args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    return r.stdout.trim();
}

const client = async (args) => new MembraneClient({ token: await token(args), apiUri: server.apiUri });

async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    assert.fail('the call succeeded');
}

before(async () => {
    [app, server] = await Promise.all([
        startPocketBase(),
        startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1/32' } }),
    ]);
    const upload = await runCommand(['connector', 'upload', join(root, 'connectors/pocketbase')], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(upload.code, 0, upload.stderr);
    admin = await client(['--admin']);
    integration = await admin.integrations.create({
        key: 'pocketbase',
        name: 'PocketBase',
        connectorKey: 'pocketbase',
    });
    assert.equal(integration.state, 'READY', JSON.stringify(integration.errors));
    for (const [key, operation] of [
        ['create-task', 'create-record'],
        ['get-task', 'get-record'],
        ['list-tasks', 'list-records'],
        ['update-task', 'update-record'],
        ['delete-task', 'delete-record'],
    ])
        await admin.actions.create({
            key,
            name: key,
            integrationKey: 'pocketbase',
            type: 'connector-operation',
            inputSchema: { type: 'object', properties: {} },
            config: {
                operationKey: operation,
                inputMapping: {
                    collection: 'tasks',
                    id: { $var: '$.input.id' },
                    fields: { $var: '$.input.fields' },
                    filter: { $var: '$.input.filter' },
                },
            },
        });
    await admin.customers.create({ name: 'Ada', internalId: 'ada' });
    customer = await client(['--customer', 'ada']);
});

after(async () => {
    app?.stop();
    await server?.stop();
});

test('ways to connect are told, with the form to fill in', async () => {
    const options = await customer.post('connection-options', { integrationKey: 'pocketbase' });
    assert.equal(options.length, 1);
    assert.equal(options[0].type, 'client-credentials');
    assert.deepEqual(options[0].inputSchema.required, ['url', 'identity', 'password']);
});

test('wrong credentials are refused with the message of the application', async () => {
    const error = await failure(
        customer.connections.create({
            integrationKey: 'pocketbase',
            input: { url: app.uri, identity, password: 'wrong password' },
        }),
    );
    assert.equal(error.data.type, 'connection');
    assert.match(error.message, /Failed to authenticate/);
    assert.equal((await customer.connections.find()).items.length, 0);
});

test('a customer connects, and nobody reads the credentials without asking as an admin', async () => {
    const connection = await customer.connections.create({
        integrationKey: 'pocketbase',
        input: { url: app.uri, identity, password },
    });
    assert.equal(connection.connected, true);
    assert.equal(connection.state, 'READY');
    assert.ok(!JSON.stringify(await customer.connection(connection.id).get()).includes(password));
    const secrets = await admin.connection(connection.id).get({ includeSecrets: true });
    assert.equal(secrets.input.password, password);
    assert.ok(secrets.credentials.token);
    assert.deepEqual(await customer.post(`connections/${connection.id}/test`), { success: true });
});

test('actions create, read, list, update and delete records', async () => {
    const run = (key, input) =>
        customer.action({ key, integrationKey: 'pocketbase' }).run(input).then((r) => r.output);
    const { id } = await run('create-task', { fields: { title: 'Write it', done: false } });
    assert.equal((await app.call('GET', `/api/collections/tasks/records/${id}`)).body.title, 'Write it');
    assert.equal((await run('get-task', { id })).title, 'Write it');
    assert.equal((await run('update-task', { id, fields: { done: true } })).id, id);
    assert.equal((await app.call('GET', `/api/collections/tasks/records/${id}`)).body.done, true);
    const list = await run('list-tasks', { filter: 'done = true' });
    assert.deepEqual(list.records.map((r) => r.id), [id]);
    assert.equal(list.totalItems, 1);
    await run('delete-task', { id });
    assert.equal((await app.call('GET', `/api/collections/tasks/records/${id}`)).status, 404);
});

test('an error of the application arrives as an action_run error with its cause', async () => {
    const error = await failure(
        customer.action({ key: 'create-task', integrationKey: 'pocketbase' }).run({ fields: {} }),
    );
    assert.equal(error.data.type, 'action_run');
    assert.ok(error.data.actionRunId);
    assert.equal(error.data.causedByError.type, 'connection');
    assert.equal(error.data.causedByError.data.response.status, 400);
    const { items } = await customer.get('action-run-logs', { status: 'error' });
    assert.equal(items[0].id, error.data.actionRunId);
    assert.equal(items[0].name, 'create-task');
});

test('an expired credential is renewed once, without the caller noticing', async () => {
    const [connection] = (await customer.connections.find()).items;
    const before = (await admin.connection(connection.id).get({ includeSecrets: true })).credentials.token;
    app.endAllTokens();
    const { output } = await customer
        .action({ key: 'list-tasks', integrationKey: 'pocketbase' })
        .run({});
    assert.deepEqual(output.records, []);
    const after_ = await admin.connection(connection.id).get({ includeSecrets: true });
    assert.notEqual(after_.credentials.token, before);
    assert.equal(after_.connected, true);
});

test('many calls at once on an expired credential renew it once', async () => {
    const [connection] = (await customer.connections.find()).items;
    app.endAllTokens();
    const calls = await Promise.all(
        Array.from({ length: 10 }, () =>
            customer.action({ key: 'list-tasks', integrationKey: 'pocketbase' }).run({}),
        ),
    );
    assert.equal(calls.length, 10);
    const { items } = await admin.get('external-api-logs', { connectionId: connection.id, limit: 100 });
    const logins = items.filter((i) => i.requestUrl.endsWith('/auth-with-password') && i.isSuccess);
    // One at connecting, one in the test before, and one here.
    assert.equal(logins.length, 3);
});

test('the proxy passes requests on with the credentials', async () => {
    const [connection] = (await customer.connections.find()).items;
    const created = await customer
        .connection(connection.id)
        .proxy.post('/api/collections/tasks/records', { title: 'By proxy' });
    assert.equal(created.title, 'By proxy');
    const read = await customer
        .connection(connection.id)
        .proxy.get(`/api/collections/tasks/records/${created.id}?fields=title`);
    assert.deepEqual(read, { title: 'By proxy' });
    const raw = await fetch(`${server.apiUri}/connections/${connection.id}/proxy/api/nothing-here`, {
        headers: { Authorization: `Bearer ${customer.token}` },
    });
    assert.equal(raw.status, 404);
});

test('operations run without an action, and are listed', async () => {
    const [connection] = (await customer.connections.find()).items;
    const { output, executionLogs } = await customer
        .connection(connection.id)
        .operation('list-records')
        .run({ input: { collection: 'tasks' } });
    assert.equal(output.records.length, 1);
    assert.equal(executionLogs[0].type, 'api-request');
    const specs = await customer.integration('pocketbase').getOperations();
    assert.deepEqual(specs.map((s) => s.key).sort(), [
        'create-record', 'delete-record', 'get-record', 'list-records', 'update-record',
    ]);
});

test('the records of a collection are created, listed in pages, matched, updated and deleted', async () => {
    const tasks = customer.connection('pocketbase').dataCollection('records', { collection: 'tasks' });
    const before_ = (await tasks.list()).records.length;
    const made = [];
    for (let i = 0; i < 3; i++)
        made.push((await tasks.create({ fields: { title: `It's "${i}"`, done: i === 1 } })).id);
    assert.equal((await app.call('GET', `/api/collections/tasks/records/${made[1]}`)).body.title, `It's "1"`);
    const page = DataCollectionListResponse.parse(await tasks.list());
    assert.equal(page.records.length, before_ + 3);
    assert.equal(page.cursor, undefined);
    const done = await tasks.list({ filter: { done: true } });
    assert.deepEqual(done.records.map((r) => r.id), [made[1]]);
    const { record } = DataCollectionMatchResponse.parse(
        await tasks.match({ query: { title: `It's "2"`, done: false } }),
    );
    assert.equal(record.id, made[2]);
    assert.deepEqual(await tasks.match({ query: { title: "' || 1 = 1 || '" } }), {});
    await tasks.update({ id: made[0], fields: { title: 'Changed' } });
    const found = DataCollectionFindByIdResponse.parse(await tasks.findById({ id: made[0] }));
    assert.equal(found.record.fields.title, 'Changed');
    for (const id of made) await tasks.delete({ id });
    assert.equal((await failure(tasks.findById({ id: made[0] }))).data.key, 'not_found');
    assert.equal((await tasks.list()).records.length, before_);
    const unnamed = customer.connection('pocketbase').dataCollection('records');
    assert.match((await failure(unnamed.list())).message, /collection/);
});

test('/act runs a request with the connection of the integration', async () => {
    const { output } = await customer.post('act', {
        integrationKey: 'pocketbase',
        api: { method: 'GET', path: '/api/collections/tasks/records', query: { fields: 'title' } },
    });
    assert.deepEqual(output.data.items, [{ title: 'By proxy' }]);
    const error = await failure(customer.post('act', { id: 'x', key: 'y' }));
    assert.equal(error.data.type, 'bad_request');
});

test('logs of calls hold no secret', async () => {
    const { items } = await admin.get('external-api-logs', { limit: 100 });
    const login = items.find((i) => i.requestUrl.endsWith('/auth-with-password'));
    const detail = JSON.stringify(await admin.get(`external-api-logs/${login.id}/details`));
    assert.ok(!detail.includes(password), detail);
    assert.ok(detail.includes(identity));
});

test('disconnecting erases the credentials, archiving hides the connection', async () => {
    const [connection] = (await customer.connections.find()).items;
    await customer.post(`connections/${connection.id}/disconnect`);
    const gone = await admin.connection(connection.id).get({ includeSecrets: true });
    assert.equal(gone.connected, false);
    assert.equal(gone.credentials, undefined);
    const error = await failure(
        customer.action({ key: 'list-tasks', integrationKey: 'pocketbase' }).run({}),
    );
    assert.match(error.message, /disconnected/);
    await customer.connection(connection.id).archive();
    assert.equal((await customer.connections.find()).items.length, 0);
});
