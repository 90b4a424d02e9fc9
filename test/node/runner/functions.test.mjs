// A connector whose functions are all JavaScript, uploaded, connected and driven with the unmodified SDK. S122.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { join } from 'node:path';

import { MembraneClient } from '@membranehq/sdk';

import { root, runCommand, startServer } from '../lib/server.mjs';

let server, admin, customer, connection, app, uri;
const tokens = new Set();
const notes = [];
let logins = 0, refreshes = 0, next = 1;

function startApp() {
    app = createServer((request, response) => {
        let text = '';
        request.on('data', (part) => (text += part)).on('end', () => {
            const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
            const give = () => {
                const token = `token-${next++}`;
                tokens.add(token);
                return { token };
            };
            if (request.url === '/login') {
                if (JSON.parse(text).password !== 'pw') return answer(403, {});
                logins++;
                return answer(200, give());
            }
            if (request.url === '/refresh') {
                refreshes++;
                return answer(200, give());
            }
            if (!tokens.has(request.headers.authorization?.slice(7))) return answer(401, { error: 'expired' });
            if (request.url === '/me') return answer(200, { user: 'ada' });
            if (request.method === 'POST') {
                notes.push({ id: notes.length + 1, ...JSON.parse(text) });
                return answer(200, notes.at(-1));
            }
            answer(200, notes);
        });
    });
    return new Promise((done) => app.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${app.address().port}`)));
}

const env = () => ({ MEMBRANE_API_URI: server.apiUri, MEMBRANE_WORKSPACE_KEY: server.workspaceKey, MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret });
async function client(...args) {
    const r = await runCommand(['token', ...args], env());
    assert.equal(r.code, 0, r.stderr);
    return new MembraneClient({ token: r.stdout.trim(), apiUri: server.apiUri });
}
async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    assert.fail('the call succeeded');
}
const run = async (key, input) => (await customer.action(key).run(input)).output;

before(async () => {
    uri = await startApp();
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1/32' } });
    const upload = await runCommand(['connector', 'upload', join(root, 'test/fixtures/javascript-connector')], env());
    assert.equal(upload.code, 0, upload.stderr);
    admin = await client('--admin');
    const integration = await admin.integrations.create({ key: 'notes', name: 'Notes', connectorKey: 'notes' });
    assert.equal(integration.state, 'READY', JSON.stringify(integration.errors));
    for (const key of ['create-note', 'list-notes', 'who-am-i', 'typed'])
        await admin.actions.create({ key, name: key, integrationKey: 'notes', type: 'connector-operation', inputSchema: { type: 'object', properties: {} }, config: { operationKey: key, inputMapping: { $var: '$.input' } } });
    await admin.actions.create({
        key: 'script', name: 'script', integrationKey: 'notes', type: 'run-javascript', inputSchema: { type: 'object', properties: {} },
        config: { code: 'export default async function ({ input, externalApiClient }) {\n  const me = await externalApiClient.get("/me");\n  if (input.fail) {\n    throw new Error("told to fail");\n  }\n  return `${me.user} ${input.n * 2}`;\n}' },
    });
    await admin.customers.create({ name: 'Ada', internalId: 'ada' });
    customer = await client('--customer', 'ada');
});
after(async () => {
    app?.closeAllConnections();
    app?.close();
    await server?.stop();
});

test('connecting runs getCredentialsFromConnectionParameters, makeApiClient and test', async () => {
    connection = await customer.connections.create({ integrationKey: 'notes', name: 'Notes', input: { url: uri, user: 'ada', password: 'pw' } });
    assert.ok(connection.id, JSON.stringify(connection));
    assert.equal(logins, 1);
});

test('operations in JavaScript and TypeScript use the API client', async () => {
    assert.deepEqual(await run('create-note', { title: '  first ' }), { id: 1 });
    assert.deepEqual(await run('list-notes', { limit: 3 }), { status: 200, titles: ['first'] });
    assert.deepEqual(await run('who-am-i'), { user: 'ada', hasToken: true, url: uri });
    assert.deepEqual(await run('typed', { text: 'a' }), { sha: '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8' });
});

test('an expired token is renewed by refreshCredentials, and the code runs again', async () => {
    tokens.clear();
    assert.deepEqual(await run('create-note', { title: 'second' }), { id: 2 });
    assert.equal(refreshes, 1);
    assert.equal(notes.length, 2);
});

test('run-javascript has the connection; its error has the place in the code', async () => {
    assert.equal(await run('script', { n: 21 }), 'ada 42');
    const error = await failure(run('script', { fail: true }));
    const data = error.data ?? error;
    assert.match(JSON.stringify(data), /told to fail/);
    let cause = data;
    while (cause && cause.type !== 'custom_code') cause = cause.causedByError;
    assert.deepEqual([cause.data.lineNumber, cause.data.columnNumber], [4, 11]);
});

test('inline code of act', async () => {
    const r = await fetch(`${server.apiUri}/act`, { method: 'POST', headers: { Authorization: `Bearer ${customer.token ?? (await runCommand(['token', '--customer', 'ada'], env())).stdout.trim()}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ connectionId: connection.id, code: 'export default async ({ input, externalApiClient }) => ({ ...(await externalApiClient.get("/me")), n: input.n })', input: { n: 1 } }) });
    const body = await r.json();
    assert.equal(r.status, 200, JSON.stringify(body));
    assert.deepEqual(body.output, { user: 'ada', n: 1 });
});

test('engineApiClient and membrane call this server as the customer, and nothing else', async () => {
    const act = async (code) => {
        const token = (await runCommand(['token', '--customer', 'ada'], env())).stdout.trim();
        const r = await fetch(`${server.apiUri}/act`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ code, input: {} }) });
        return { status: r.status, body: await r.json() };
    };
    const self = await act('export default async ({ membrane, engineApiClient }) => [(await membrane.get("/self")).internalId, (await engineApiClient.get("/connections", { limit: 1 })).items.length]');
    assert.equal(self.status, 200, JSON.stringify(self.body));
    assert.deepEqual(self.body.output, ['ada', 1]);
    for (const path of ['//127.0.0.1:1/x', '/\\\\127.0.0.1', 'http://127.0.0.1:1/']) {
        const { body } = await act(`export default async ({ membrane }) => membrane.get(${JSON.stringify(path)}).then(() => "reached", (e) => e.type)`);
        assert.notEqual(body.output, 'reached', path);
    }
    const denied = await act('export default async ({ membrane }) => membrane.get("/customers").then(() => "reached", (e) => e.data.key)');
    assert.equal(denied.body.output, 'access_denied');
});
