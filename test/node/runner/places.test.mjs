// Other places where customers' code runs: schemas of the owner's app, nodes of flows that are stopped, limits. S122.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { runCommand, startServer, tempDir, until } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

let server, admin, customer, app, uri;
const asked = [];
let schemaStatus = 200;

before(async () => {
    app = createServer((request, response) => {
        asked.push({ url: request.url, tenant: request.headers['x-tenant'], secret: request.headers.authorization });
        response.writeHead(schemaStatus, { 'content-type': 'application/json' }).end(JSON.stringify([{ name: 'size', type: 'number' }]));
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    uri = `http://127.0.0.1:${app.address().port}`;
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1/32', ENABLE_LIMITS: '1', LIMIT_PARALLEL_CUSTOM_CODE_RUNS_PER_CUSTOMER: '2' } });
    admin = new sdk.MembraneClient({ token: adminToken(workspaceOf(server)), apiUri: server.apiUri });
    customer = new sdk.MembraneClient({ token: customerToken(workspaceOf(server), 'ada'), apiUri: server.apiUri });
});
after(async () => {
    app?.closeAllConnections();
    app?.close();
    await server?.stop();
});
const as = (id) => caller(server.apiUri, customerToken(workspaceOf(server), id));
const spaces = async () => (await (await fetch(`${server.runnerUri}/api/v2/health`)).json());
const running = async () => {
    const { totalJobSpaces, remainingJobSpaces } = await spaces();
    return totalJobSpaces - remainingJobSpaces;
};

test('an app data schema made by code, with the client of the owner\'s app and the customer\'s credentials', async () => {
    const link = new URL(server.adminUri).searchParams.get('token');
    const person = caller(server.apiUri, (await caller(server.apiUri)('POST', '/auth/link', { token: link })).body.token);
    const [workspace] = (await person('GET', '/workspaces')).body;
    const { status, text } = await person('PATCH', `/workspaces/${workspace.id}`, { apiBaseUri: `${uri}/base`, apiRequestHeaders: { 'X-Tenant': { $var: '$.user.internalId' }, Authorization: { $concat: ['Key ', { $var: '$.credentials.key' }] } } });
    assert.equal(status, 200, text);
    await customer.self.patch({ credentials: { key: 'k1' } });
    const code = `export default async ({ internalApiClient, credentials }) => {
        const fields = await internalApiClient.get("/fields", { of: "orders" });
        return { type: "object", properties: Object.fromEntries(fields.map((f) => [f.name, { type: f.type }])), title: credentials.key };
    }`;
    await admin.appDataSchemas.create({ key: 'orders', name: 'Orders', code });
    const instance = () => customer.appDataSchemaInstance({ appDataSchemaKey: 'orders', autoCreate: true });
    const made = await instance().get();
    assert.deepEqual([made.schema, made.error], [{ type: 'object', properties: { size: { type: 'number' } }, title: 'k1' }, undefined]);
    assert.deepEqual(asked.at(-1), { url: '/base/fields?of=orders', tenant: 'ada', secret: 'Key k1' });
    schemaStatus = 500;
    await instance().setup();
    const failed = await instance().get();
    assert.equal(failed.error.type, 'connection');
    assert.deepEqual(failed.schema, made.schema, 'what the code gave last stays');
    assert.equal('computedSchema' in failed, false);
    schemaStatus = 200;
    await instance().setup();
    assert.equal((await instance().get()).error, undefined);
});

test('the client of the owner\'s app is for its own schemas only', async () => {
    const { body } = await as('ada')('POST', '/act', { code: 'export default ({ internalApiClient, ...rest }) => [typeof internalApiClient, Object.keys(rest)]', input: 1 });
    assert.equal(body.output[0], 'undefined');
});

// ---- stopping and limits: code that runs until it is ended ----

const endless = 'export default async ({ input }) => { console.log("runs"); for (;;) await new Promise((r) => setTimeout(r, 10)); }';

test('a stopped flow run ends its job', async () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'auth'));
    writeFileSync(join(dir, 'spec.yml'), 'key: plain\nname: Plain\nauth:\n  type: client-credentials\n  inputSchema: {type: object, properties: {}}\n');
    writeFileSync(join(dir, 'auth/make-api-client.map.yml'), `baseUri: ${uri}\n`);
    const upload = await runCommand(['connector', 'upload', dir], { MEMBRANE_API_URI: server.apiUri, MEMBRANE_WORKSPACE_KEY: server.workspaceKey, MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret });
    assert.equal(upload.code, 0, upload.stderr);
    await admin.integrations.create({ key: 'plain', name: 'Plain', connectorKey: 'plain' });
    await customer.connections.create({ integrationKey: 'plain', input: {} });
    await admin.flows.create({ key: 'endless', name: 'endless', integrationKey: 'plain', nodes: { start: { type: 'api-trigger', links: [{ key: 'code' }] }, code: { type: 'run-javascript', config: { code: endless } } } });
    const { id } = await (await customer.flowInstance({ flowKey: 'endless', integrationKey: 'plain', autoCreate: true })).startRun();
    await until(async () => (await running()) === 1, 'the job to run');
    await customer.flowRun(id).stop();
    await until(async () => (await running()) === 0, 'the job to be ended');
    assert.equal((await customer.flowRun(id).get()).state, 'stopped');
});

test('parallelCustomCodeRunsPerCustomer: more is 429 at once, for this customer only', async () => {
    const slow = `export default async () => { while ((await (await fetch(${JSON.stringify(uri)})).json()).length) await new Promise((r) => setTimeout(r, 20)); return "done" }`;
    const jobs = [1, 2].map(() => as('ada')('POST', '/act', { code: slow, input: {} }));
    await until(async () => (await running()) === 2, 'both jobs to run');
    const refused = await as('ada')('POST', '/act', { code: 'export default () => 1', input: {} });
    let cause = refused.body;
    while (cause.causedByError) cause = cause.causedByError;
    assert.equal(cause.key, 'rate_limit_exceeded');
    assert.equal(refused.status, 429);
    assert.equal((await as('bob')('POST', '/act', { code: 'export default () => 1', input: {} })).body.output, 1);
    app.removeAllListeners('request');
    app.on('request', (request, response) => response.end('[]'));
    for (const job of jobs) assert.equal((await job).body.output, 'done');
    assert.equal((await as('ada')('POST', '/act', { code: 'export default () => 1', input: {} })).body.output, 1);
});
