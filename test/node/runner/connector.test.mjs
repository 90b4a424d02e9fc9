// A connector of the public style, every function of it JavaScript or TypeScript, runs unchanged through the SDK: OAuth by
// code, test, disconnect, operations, collections with conversions, old forms. S121, S122.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { join } from 'node:path';

import * as sdk from '@membranehq/sdk';

import { root, runCommand, startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

let server, admin, customer, connection, app;

// ---- the application ----

const contacts = [
    { id: 1, first_name: 'Ada', mail: 'ada@x.org', custom: { size: 3 } },
    { id: 2, first_name: 'Bob', mail: 'bob@x.org' },
    { id: 3, mail: 'cy@x.org' },
];
const companies = [{ id: 'c1', name: 'One' }, { id: 'c2', name: 'Two' }];
const tokens = new Set();
const revoked = [];
const tokenRequests = [];
const uploads = [];
let deals = [{ id: 7, t: 'Big', cents: 12345 }];

function api(method, url, body) {
    const [, name, id] = url.pathname.slice(4).split('/');
    const query = Object.fromEntries(url.searchParams);
    if (name === 'me') return [200, { id: 'user-1' }];
    if (name === 'gone') return [410, {}];
    if (name === 'custom-fields') return [200, [{ name: 'size', type: 'number' }]];
    if (name === 'deals') return method === 'POST' ? [200, { id: deals.push(body) }] : [200, { deals, next: undefined }];
    if (name === 'companies' && method === 'POST') return [200, { id: `c${companies.push({ id: `c${companies.length + 1}`, ...body })}` }];
    if (name === 'companies') return [200, id ? companies.find((c) => c.id === id) : { companies }];
    if (name === 'file') return [200, Buffer.from([9, 8, 255])];
    if (name !== 'contacts') return [404, {}];
    const found = contacts.find((c) => c.id === Number(id));
    if (id && !found) return [404, { message: 'no such contact' }];
    if (method === 'PATCH') return [200, Object.assign(found, JSON.parse(JSON.stringify(body)))];
    if (method === 'DELETE') return [204, contacts.splice(contacts.indexOf(found), 1) && undefined];
    if (method === 'POST') return [201, contacts[contacts.push({ id: contacts.length + 1, ...body }) - 1], { location: '/contacts/x' }];
    if (id) return [200, found];
    const items = contacts.filter((c) => (!query.mail || c.mail === query.mail) && (!query.q || c.mail.includes(query.q)) && c.id > Number(query.after ?? 0));
    const limit = Number(query.limit ?? 2);
    return [200, { items: items.slice(0, limit), next: items.length > limit ? String(items[limit - 1].id) : undefined }];
}

function token(form) {
    tokenRequests.push(Object.fromEntries(form));
    const access = `token-${tokenRequests.length}`;
    tokens.add(access);
    return { access_token: access, refresh_token: 'refresh', expires_in: 3600 };
}

function startApp() {
    app = createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part)).on('end', () => {
            const raw = Buffer.concat(parts), text = raw.toString('latin1');
            const url = new URL(request.url, 'http://app');
            const json = (status, body, headers) => {
                if (Buffer.isBuffer(body)) return response.writeHead(status, { 'content-type': 'application/octet-stream' }).end(body);
                response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body === undefined ? undefined : JSON.stringify(body));
            };
            if (url.pathname === '/token') return json(200, token(new URLSearchParams(text)));
            if (url.pathname === '/revoke') return json(200, { ok: revoked.push(new URLSearchParams(text).get('token')) });
            if (!tokens.has(request.headers.authorization?.slice(7)) || request.headers['x-tenant'] !== 't 1') return json(401, { error: 'expired' });
            if (url.pathname === '/api/upload') {
                uploads.push({ type: request.headers['content-type'], text });
                return json(200, { type: request.headers['content-type'].split(';')[0] });
            }
            json(...api(request.method, url, text ? JSON.parse(text) : undefined));
        });
    });
    return new Promise((done) => app.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${app.address().port}`)));
}

// ---- connecting, as a browser does ----

async function connect() {
    const payload = { token: customerToken(workspaceOf(server), 'ada'), integrationKey: 'crm', requestId: 'request0000000000001', connectionInput: { tenant: 'given' }, input: { tenant: 'given' } };
    const started = await fetch(`${server.apiUri}/connect`, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ payload: JSON.stringify(payload) }) });
    assert.equal(started.status, 302, await started.clone().text());
    const consent = new URL(started.headers.get('location'));
    const back = new URLSearchParams({ state: consent.searchParams.get('state'), code: 'the code', tenant: 't 1' });
    const page = await fetch(`${server.apiUri}/oauth-callback?${back}`, { redirect: 'manual' });
    assert.equal(page.status, 200, await page.clone().text());
    return consent;
}

const run = async (key, input) => (await customer.action(key).run(input)).output;
async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    assert.fail('the call succeeded');
}

before(async () => {
    const uri = await startApp();
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1/32' } });
    const upload = await runCommand(['connector', 'upload', join(root, 'test/fixtures/javascript-crm')], { MEMBRANE_API_URI: server.apiUri, MEMBRANE_WORKSPACE_KEY: server.workspaceKey, MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret });
    assert.equal(upload.code, 0, upload.stderr);
    admin = new sdk.MembraneClient({ token: adminToken(workspaceOf(server)), apiUri: server.apiUri });
    customer = new sdk.MembraneClient({ token: customerToken(workspaceOf(server), 'ada'), apiUri: server.apiUri });
    await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'javascript-crm', parameters: { baseUrl: uri, clientId: 'id', clientSecret: 'secret' } });
});
after(async () => {
    app?.closeAllConnections();
    app?.close();
    await server?.stop();
});
const collection = (key, parameters) => customer.connection('crm').dataCollection(key, parameters);

test('getOAuthConfig by code leads to the consent page, and the way back makes credentials by code', async () => {
    const consent = await connect();
    assert.equal(consent.pathname, '/authorize');
    assert.equal(consent.searchParams.get('scope'), 'crm.read crm.write');
    assert.equal(consent.searchParams.get('audience'), 'crm');
    assert.equal(consent.searchParams.get('withState'), 'true');
    assert.equal(consent.searchParams.get('back'), `${server.apiUri}/oauth-callback`);
    assert.equal(tokenRequests[0].code, 'the code');
    const { items } = await customer.connections.find();
    connection = items[0];
    assert.equal(connection.connected, true);
    assert.equal((await admin.get(`/connections/${connection.id}`, { includeSecrets: true })).credentials.tenant, 't 1');
});

test('test by code, and a refresh by the token response function in TypeScript', async () => {
    const call = caller(server.apiUri, adminToken(workspaceOf(server)));
    assert.equal((await call('POST', `/connections/${connection.id}/test`)).body.success, true);
    tokens.clear(); // the next request finds its token expired
    assert.equal((await collection('contacts').list()).records.length, 2);
    const { credentials } = (await call('GET', `/connections/${connection.id}?includeSecrets=true`)).body;
    assert.deepEqual([credentials.generation, credentials.access_token, credentials.tenant], [1, 'token-2', 't 1']);
});

test('operations: TypeScript with an enum and lodash; forms, bytes and streams', async () => {
    for (const key of ['report', 'upload'])
        await admin.actions.create({ key, name: key, integrationKey: 'crm', type: 'connector-operation', inputSchema: { type: 'object' }, config: { operationKey: key, inputMapping: { $var: '$.input' } } });
    const { mails, signature } = await run('report', { order: 'down' });
    assert.deepEqual([mails, signature.length], [['cy@x.org', 'bob@x.org', 'ada@x.org'], 44]);
    assert.deepEqual(await run('upload', { name: 'Ü' }), { type: 'multipart/form-data', bytes: [9, 8, 255], streamed: [9, 8, 255] });
    assert.match(uploads[0].text, /name="file"; filename="data.bin"\r\nContent-Type: application\/octet-stream\r\n\r\n\x00\x01\xfe\xff\r\n/);
});

test('a collection in JavaScript: pages, conversions of all records, filters, search, match, find', async () => {
    const first = await collection('contacts').list();
    assert.deepEqual(first.records[0], { id: '1', name: 'Ada', uri: 'https://crm.example/contacts/1', createdTime: '1970-01-01T00:00:00.000Z', fields: { id: 1, firstName: 'Ada', email: 'ada@x.org', size: 3 } });
    assert.equal(first.records[1].name, 'Bob');
    assert.equal(first.cursor, '2');
    const second = await collection('contacts').list({ cursor: first.cursor });
    assert.deepEqual(second.records.map((r) => [r.id, r.name]), [['3', 'cy@x.org']]);
    assert.deepEqual((await collection('contacts').list({ filter: { email: 'bob@x.org' } })).records.map((r) => r.id), ['2']);
    assert.deepEqual((await collection('contacts').search({ query: 'cy' })).records.map((r) => r.id), ['3']);
    assert.equal((await collection('contacts').match({ query: { email: 'bob@x.org' } })).record.id, '2');
    assert.deepEqual(await collection('contacts').match({ query: { email: 'nobody@x.org' } }), {});
    const found = await customer.post(`/connections/${connection.id}/data/contacts/find`, { query: { email: 'ada@x.org' } });
    assert.deepEqual(found.records.map((r) => r.fields.firstName), ['Ada']);
});

test('a collection in JavaScript: find by id, create, update, delete, custom fields', async () => {
    assert.equal((await collection('contacts').findById({ id: '2' })).record.fields.firstName, 'Bob');
    assert.equal((await failure(collection('contacts').findById({ id: '99' }))).data.key, 'not_found');
    const spec = await collection('contacts').get();
    assert.deepEqual(spec.fieldsSchema.properties.size, { type: 'number' });
    const { id } = await collection('contacts').create({ fields: { firstName: 'Di', email: 'di@x.org', size: 9 } });
    assert.deepEqual(contacts.at(-1), { id: Number(id), first_name: 'Di', mail: 'di@x.org', custom: { size: 9 } });
    await collection('contacts').update({ id, fields: { firstName: 'Dee' } });
    assert.equal(contacts.at(-1).first_name, 'Dee');
    await collection('contacts').delete({ id });
    assert.equal(contacts.length, 3);
});

test('old forms: conversions given as functions, spec by code, all methods in one file', async () => {
    const { records } = await collection('deals', { board: 'b1' }).list();
    assert.deepEqual(records, [{ id: '7', name: 'Big', fields: { title: 'Big', amount: 123.45 } }]);
    assert.equal((await collection('deals', { board: 'b1' }).get()).name, 'Deals of b1');
    assert.deepEqual(await collection('deals').create({ fields: { title: 'New', amount: 1 } }), { id: '2' });
    assert.deepEqual(deals[1], { title: 'New', amount: 1 });
    assert.deepEqual((await collection('companies').list()).records.map((r) => r.name), ['One', 'Two']);
    assert.equal((await collection('companies').findById({ id: 'c2' })).record.name, 'Two');
    assert.deepEqual(await collection('companies').create({ fields: { name: 'Three' } }), { id: 'c3' });
});

test('data-record actions run on a collection in JavaScript', async () => {
    await admin.actions.create({ key: 'find', name: 'find', integrationKey: 'crm', type: 'match-data-record', inputSchema: { type: 'object' }, config: { dataSource: { collectionKey: 'contacts' }, query: { email: { $var: '$.input.mail' } } } });
    assert.equal((await run('find', { mail: 'ada@x.org' })).record?.id ?? (await run('find', { mail: 'ada@x.org' })).id, '1');
});

test('the client of the SDK inside of code: accessors, its errors, an own instance; nothing tells the token', async () => {
    const act = async (code, input = {}) => {
        const r = await caller(server.apiUri, customerToken(workspaceOf(server), 'ada'))('POST', '/act', { connectionId: connection.id, code, input });
        assert.equal(r.status, 200, r.text);
        return r.body.output;
    };
    const got = await act(`import { MembraneClient, ConnectionError } from '@membranehq/sdk';
        import { IntegrationAppClient } from '@integration-app/sdk';
        export default async ({ membrane, engineApiClient, externalApiClient, input }) => {
            const list = await membrane.connections.find();
            const record = await engineApiClient.connection(list.items[0].id).dataCollection('contacts').findById({ id: '1' });
            const missing = await membrane.connection('5f5f5f5f5f5f5f5f5f5f5f5f').get().catch((e) => [e.constructor.name, e.data.key]);
            const refused = await new MembraneClient({ apiUri: input.uri, token: await membrane.getToken() }).get('/self');
            return { same: IntegrationAppClient === MembraneClient, isClient: membrane instanceof MembraneClient, names: list.items.map((c) => c.integration?.key ?? c.name), record: record.record.name, missing, refused: refused.internalId, uri: membrane.apiUri,
                forged: await fetch(membrane.apiUri + '/self').then((r) => r.status, (e) => 'refused'), claims: JSON.parse(Buffer.from((await membrane.getToken()).split('.')[1], 'base64url')) };
        }`, { uri: server.apiUri });
    assert.equal(got.same && got.isClient, true);
    assert.equal(got.record, 'Ada');
    assert.deepEqual(got.missing, ['BadRequestError', 'not_found']);
    assert.equal(got.refused, 'ada');
    assert.equal(got.uri, server.apiUri);
    assert.ok([401, 'refused'].includes(got.forged), got.forged);
    assert.deepEqual(Object.keys(got.claims).sort(), ['exp', 'id']);
});

test('errors: of the app with its type, of the code with its place and cause, a defunct connection', async () => {
    const act = async (code) => (await caller(server.apiUri, customerToken(workspaceOf(server), 'ada'))('POST', '/act', { connectionId: connection.id, code, input: {} })).body;
    const kept = await act('export default ({ externalApiClient }) => externalApiClient.get("/nothing")');
    assert.deepEqual([kept.type, kept.causedByError.type, kept.causedByError.data.response.status], ['action_run', 'connection', 404]);
    const wrapped = await act('export default async ({ externalApiClient }) => {\n  try {\n    await externalApiClient.get("/nothing");\n  } catch (cause) {\n    throw new Error("wrapped", { cause });\n  }\n}');
    const own = wrapped.causedByError;
    assert.deepEqual([own.type, own.data.lineNumber, own.data.columnNumber, own.data.code, own.causedByError.type], ['custom_code', 5, 11, '    throw new Error("wrapped", { cause });', 'connection']);
    const typed = await act('enum E { A = 1 }\ntype T = { a: number };\nexport default async function (args: any): Promise<T> {\n  const x = args.nothing as T;\n  return { a: x.a };\n}');
    assert.deepEqual([typed.causedByError.data.lineNumber, typed.causedByError.data.code], [5, '  return { a: x.a };']);
    const thrown = await act("import { BadRequestError } from '@membranehq/sdk';\nexport default () => { throw new BadRequestError({ message: 'no such thing', key: 'not_found', data: { a: 1 } }) }");
    assert.deepEqual([thrown.causedByError.type, thrown.causedByError.key, thrown.causedByError.data.a], ['bad_request', 'not_found', 1]);
    const gone = await act('export default ({ externalApiClient }) => externalApiClient.get("/gone")');
    assert.deepEqual([gone.causedByError.type, gone.causedByError.key], ['connection', 'connection_is_defunct']);
});

test('disconnect by code tells the app', async () => {
    await admin.post(`/connections/${connection.id}/disconnect`);
    assert.deepEqual(revoked, ['token-2']);
});
