// Connectors over the API: identity, archives, versions, options, and what integrations show.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

import { MembraneClient } from '@membranehq/sdk';

import { runCommand, startServer, tempDir } from '../lib/server.mjs';

let server, admin, customer, adminToken;

before(async () => {
    server = await startServer();
    const token = async (...args) =>
        (await runCommand(['token', ...args], {
            MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
            MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
        })).stdout.trim();
    adminToken = await token('--admin');
    admin = new MembraneClient({ token: adminToken, apiUri: server.apiUri });
    customer = new MembraneClient({ token: await token('--customer', 'ada'), apiUri: server.apiUri });
});
after(() => server.stop());

// A connector's folder: {path: text}.
function folder(files) {
    const dir = tempDir();
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    return dir;
}

const env = () => ({
    MEMBRANE_API_URI: server.apiUri,
    MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
    MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
});

// Raw bytes as the body; gives {status, body}.
async function upload(path, bytes, type = 'application/zip') {
    const r = await fetch(server.apiUri + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': type },
        body: bytes,
    });
    return { status: r.status, body: await r.json() };
}

function zipOf(files) {
    const dir = folder(files);
    const out = join(tempDir(), 'a.zip');
    execFileSync('python3', ['-c', `
import sys, zipfile, os
root, out = sys.argv[1:]
with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as z:
    for d, _, names in os.walk(root):
        for n in names:
            p = os.path.join(d, n)
            z.write(p, os.path.relpath(p, root))
`, dir, out]);
    return readFileSync(out);
}

const crm = {
    'spec.yml': `key: crm
name: CRM
categories: [CRM]
auth:
  type: client-credentials
  inputSchema: {type: object, properties: {apiKey: {type: string}}, required: [apiKey]}
  parametersSchema: {type: object, properties: {region: {type: string}}, required: [region]}
options:
  sandbox:
    type: client-credentials
    title: Sandbox
    inputSchema: {type: object, properties: {sandbox: {type: string}}}
`,
    'auth/make-api-client.map.yml': 'baseUri: https://crm.example\nheaders: {x-key: {$var: $.credentials.apiKey}}\n',
    'auth/test.rest.yml': 'path: /me\nmethod: get\n',
    'data/contacts/spec.yml': 'type: collection\nname: Contacts\nfieldsSchema: {type: object, properties: {id: {type: string}}}\n',
    'data/contacts/list.rest.yml': 'path: /contacts\nmethod: get\n',
    'operations/ping/spec.yml': 'name: Ping\ndescription: Says pong.\n',
    'operations/ping/run.rest.yml': 'path: /ping\nmethod: get\n',
    'udm.yml': 'contacts: {defaultCollection: {key: contacts}, collectionMappings: [{key: contacts}]}\n',
    'docs/README.md': '# CRM\n',
};

test('a connector is made, changed, archived and restored', async () => {
    const made = await admin.post('connectors', { name: 'Made by hand' });
    assert.equal(made.key, 'made-by-hand');
    assert.equal(made.version, 'dev');
    assert.equal(made.workspaceId, undefined);
    const changed = await admin.patch(`connectors/${made.key}`, { categories: ['CRM'] });
    assert.deepEqual(changed.categories, ['CRM']);
    assert.notEqual(changed.revision, made.revision);
    const whole = await admin.put(`connectors/${made.id}`, { ...changed, name: 'Renamed' });
    assert.equal(whole.name, 'Renamed');
    assert.equal(whole.id, made.id);
    await admin.delete(`connectors/${made.id}`);
    assert.equal((await admin.get('connectors')).items.length, 0);
    assert.equal((await admin.get('connectors', { includeArchived: true })).items.length, 1);
    await assert.rejects(admin.patch(`connectors/${made.id}`, { name: 'x' }), /archived/);
    await admin.post(`connectors/${made.id}/restore`);
    assert.equal((await admin.get('connectors')).items.length, 1);
    await assert.rejects(customer.post('connectors', { name: 'not mine' }), (e) => e.data.key === 'access_denied');
    await assert.rejects(admin.post('connectors', {}), /name/);
});

test('wrong functions are refused in the form that clients show', async () => {
    await assert.rejects(
        admin.post('connectors', { name: 'Bad', test: { type: 'mapping', mapping: {} }, makeApiClient: { type: 'magic' } }),
        (e) =>
            e.data.type === 'bad_request' &&
            e.message.startsWith('Invalid function definition(s)') &&
            /"test": /.test(e.message) && /"makeApiClient": /.test(e.message),
    );
});

test('an uploaded archive becomes the development version, and comes back as it was', async () => {
    const bytes = zipOf(crm);
    const { status, body } = await upload('/connectors/upload', bytes);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.key, 'crm');
    assert.equal(body.operationsCount, 1);
    assert.equal(body.dataCollectionsCount, 1);
    assert.deepEqual(body.udms, ['contacts']);
    assert.equal(body.hasTest, true);
    const again = await upload('/connectors/upload', bytes);
    assert.equal(again.body.id, body.id, 'the same key is the same connector');
    const back = await fetch(`${server.apiUri}/connectors/crm/download`, {
        headers: { authorization: `Bearer ${adminToken}` },
    });
    assert.equal(back.headers.get('content-type'), 'application/zip');
    assert.deepEqual(Buffer.from(await back.arrayBuffer()), bytes);
});

test('a published version never changes; an integration follows the version it names', async () => {
    const version = await admin.post('connectors/crm/publish', { version: '1.0.0', changelog: 'first' });
    assert.equal(version.version, '1.0.0');
    await assert.rejects(admin.post('connectors/crm/publish', { version: '1.0.0' }), (e) => e.data.key === 'already_exists');
    await assert.rejects(admin.post('connectors/crm/publish', { version: 'one' }), /version/);
    const more = { ...crm, 'operations/pong/run.rest.yml': 'path: /pong\nmethod: get\n' };
    assert.equal((await upload('/connectors/crm/upload', zipOf(more))).body.operationsCount, 2);
    assert.equal((await admin.get('connectors/crm', { version: '1.0.0' })).operationsCount, 1);
    assert.deepEqual((await admin.get('connectors/crm/versions')).items.map((v) => v.version), ['1.0.0']);

    await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'crm', connectorVersion: 'dev' });
    const keys = async () => (await customer.integration('crm').getOperations()).map((o) => o.key);
    assert.deepEqual(await keys(), ['ping', 'pong']);
    await admin.integration('crm').patch({ connectorVersion: '1.0.0' });
    assert.deepEqual(await keys(), ['ping']);
});

test('missing parameters put the integration into an error until they are given', async () => {
    const before = await admin.integration('crm').get();
    assert.equal(before.state, 'CONFIGURATION_ERROR');
    assert.equal(before.hasMissingParameters, true);
    assert.equal(before.errors[0].type, 'configuration');
    await admin.integration('crm').patch({ parameters: { region: 'eu' } });
    const after_ = await admin.integration('crm').get();
    assert.equal(after_.state, 'READY', JSON.stringify(after_.errors));
    assert.ok(!after_.hasMissingParameters);
});

test('integrations show what the connector contains', async () => {
    const i = customer.integration('crm');
    const operation = await i.getOperation('ping');
    assert.equal(operation.description, 'Says pong.');
    assert.equal(operation.methods.run.implementationType, 'rest-api-mapping');
    assert.equal(operation.methods.run.mapping, undefined);
    assert.deepEqual((await i.getDataCollections()).map((c) => c.key), ['contacts']);
    const collection = await i.getDataCollection('contacts');
    assert.equal(collection.type, 'collection');
    assert.deepEqual(collection.list.apiRequests, [{ path: '/contacts', method: 'get' }]);
    const spec = await i.getConnectorSpec();
    assert.equal(spec.auth.makeApiClient.implementationType, 'mapping');
    assert.equal(spec.auth.options.sandbox.title, 'Sandbox');
    assert.deepEqual(await customer.get('integrations/crm/udm'), [{ key: 'contacts' }]);
    assert.equal((await customer.get('integrations/crm/udm/contacts')).collectionMappings[0].key, 'contacts');
    await assert.rejects(i.getOperation('nope'), (e) => e.data.key === 'not_found');
});

test('options are merged with the connector and lead to a form', async () => {
    const options = await customer.post('connection-options', { integrationKey: 'crm' });
    assert.deepEqual(options.map((o) => o.key), ['sandbox']);
    assert.deepEqual(Object.keys(options[0].inputSchema.properties), ['apiKey', 'sandbox']);
    const direct = await customer.post('connectors/crm/generate-options', {});
    assert.deepEqual(direct[0].connectorParametersSchema.required, ['region']);
});

test('hostile and broken archives are a clear 400 and change nothing', async () => {
    const revision = (await admin.get('connectors/crm')).revision;
    const cases = {
        'not a zip': Buffer.from('hello'),
        'no spec.yml': zipOf({ 'readme.md': 'x' }),
        'broken yaml': zipOf({ ...crm, 'data/contacts/spec.yml': 'a: [1\n' }),
        'wrong type of spec': zipOf({ 'spec.yml': '- a\n- b\n' }),
        'a mixin cycle': zipOf({ ...crm, 'data/_a/spec.yml': 'extends: _a\n', 'data/b/spec.yml': 'extends: _a\n' }),
        'a bomb': zipOf({ ...crm, 'public/zeros': '\0'.repeat(101 * 1024 * 1024) }),
    };
    for (const [name, bytes] of Object.entries(cases)) {
        const { status, body } = await upload('/connectors/crm/upload', bytes);
        assert.equal(status, 400, `${name}: ${JSON.stringify(body)}`);
        assert.equal(body.type, 'bad_request', name);
        assert.ok(body.message.length > 10, name);
    }
    assert.equal((await admin.get('connectors/crm')).revision, revision);
});

test('an OpenAPI description becomes operations', async () => {
    const openapi = JSON.stringify({
        openapi: '3.0.0', info: { title: 'T', version: '1' },
        paths: { '/things/{id}': { get: { operationId: 'getThing', parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }], responses: {} } } },
    });
    const { body } = await upload('/connectors/upload', zipOf({ 'spec.yml': 'key: api\nname: API\n', 'openapi.json': openapi }));
    assert.equal(body.operationsCount, 1);
    await admin.integrations.create({ key: 'api', name: 'API', connectorKey: 'api' });
    const operation = await customer.integration('api').getOperation('getThing');
    assert.deepEqual(operation.inputSchema.properties.pathParameters.required, ['id']);
});

test('membrane connector validates, packs and uploads a folder', async () => {
    const dir = folder(crm);
    let r = await runCommand(['connector', 'validate', dir], {});
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /CRM: 9 files, 1 operations, 1 data collections/);
    r = await runCommand(['connector', 'validate', folder({ ...crm, 'spec.yml': 'name: [\n' })], {});
    assert.equal(r.code, 65);
    assert.match(r.stderr, /spec\.yml:\d+:\d+/);
    const zip = join(tempDir(), 'crm.zip');
    r = await runCommand(['connector', 'pack', dir, '-o', zip], {});
    assert.equal(r.code, 0, r.stderr);
    assert.equal((await upload('/connectors/upload', readFileSync(zip))).status, 200);
    r = await runCommand(['connector', 'upload', dir], env());
    assert.equal(r.code, 0, r.stderr);
    assert.match(r.stdout, /uploaded as crm/);
    r = await runCommand(['connector', 'destroy', dir], {});
    assert.equal(r.code, 64);
});
