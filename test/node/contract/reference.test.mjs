// The description that the original published in 2024 (test/fixtures/reference-openapi.json):
// every operation of it that is routed here is called with real data, and its answer must
// fit the schema of that description. Where it contradicts what the present client demands,
// the client wins: see `deviations`.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import Ajv from 'ajv';
import { root, runCommand, startServer, tempDir, until } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

const reference = JSON.parse(readFileSync(join(root, 'test/fixtures/reference-openapi.json'), 'utf8'));

// "METHOD /path", or a member of any answer ("#/*/member") -> why it differs.
const deviations = {
    '#/*/authOptions': 'the client reads objects {key, type, ...} where 2024 had keys only',
    'POST /integrations/{idOrKey}/upload-connector': 'takes an archive: test/node/contract/connectors.test.mjs',
};

// A connector with one of everything.
const connector = {
    'spec.yml': 'key: crm\nname: CRM\nauth:\n  type: client-credentials\n',
    'auth/test.rest.yml': 'path: /me\nmethod: get\n',
    'auth/get-credentials-from-connection-parameters.map.yml': 'apiKey: k\n',
    'auth/refresh-credentials.map.yml': 'apiKey: k2\n',
    'operations/list/spec.yml': 'name: List\n',
    'operations/list/run.rest.yml': 'path: /things\nmethod: get\n',
    'data/things/spec.yml': 'type: collection\nname: Things\nfieldsSchema:\n  type: object\n',
    'data/things/list.rest.yml': 'path: /things\nmethod: get\n',
    'events/made/spec.yml': 'name: Made\n',
    'udm.yml': 'contacts:\n  list:\n    - things\n',
};
// Names of its parts, and of what else stands in a path.
const names = { operations: 'list', data: 'things', events: 'made', udm: 'contacts', '{dataLocationKey}': 'list' };

const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema({ ...reference, $id: 'reference' });

let server, app, admin, customer, routed;
const ids = {};

const bodies = {
    customers: () => ({ name: 'New', internalId: `n-${Math.random()}` }),
    integrations: () => ({ name: 'Another', connectorKey: 'crm' }),
    flows: () => ({ name: 'F', nodes: { start: { type: 'api-trigger', links: [] } } }),
    'data-sources': () => ({ name: 'D', udm: 'contacts' }),
    'field-mappings': () => ({ name: 'M', direction: 'both', appSchema: { type: 'object' } }),
    'data-link-tables': () => ({ name: 'T' }),
    'app-data-schemas': () => ({ name: 'S', schema: { type: 'object' } }),
    'app-event-types': () => ({ name: 'E', schema: { type: 'object' } }),
    connections: () => ({ integrationKey: 'crm', name: 'Second', key: `k-${Math.random()}`, credentials: { apiKey: 'k' } }),
    scenarios: () => ({ name: 'P', key: 'p' }),
};

async function made(call, path, body) {
    const answer = await call('POST', path, body);
    assert.ok(answer.status < 300, `POST ${path}: ${answer.text}`);
    return answer.body;
}

before(async () => {
    app = createServer((request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end('{"ok":true}');
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    const uri = `http://127.0.0.1:${app.address().port}`;
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.0/8' } });
    admin = caller(server.apiUri, adminToken(workspaceOf(server)));
    customer = caller(server.apiUri, customerToken(workspaceOf(server), 'jo'));
    const { stdout } = await runCommand(['routes']);
    routed = new Set(stdout.trim().split('\n').map((line) => line.replace(/\{[^}]*\}/g, '{}')));

    const folder = tempDir();
    for (const [path, text] of Object.entries({ ...connector, 'auth/make-api-client.map.yml': `baseUri: ${uri}\n` })) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
    }
    const uploaded = await runCommand(['connector', 'upload', folder], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(uploaded.code, 0, uploaded.stderr);
    bodies.actions = () => ({ name: 'A', type: 'http-request', config: { request: { uri: `${uri}/things` } } });
    ids.integrations = (await made(admin, '/integrations', { key: 'crm', name: 'CRM', connectorKey: 'crm' })).id;
    await customer('GET', '/self');
    ids.customers = (await admin('GET', '/customers/jo')).body.id;
    ids.connections = (await made(customer, '/connections', { integrationKey: 'crm', name: 'Mine', credentials: { apiKey: 'k' } })).id;
    for (const path of ['actions', 'flows', 'data-sources', 'field-mappings', 'data-link-tables', 'app-data-schemas', 'app-event-types'])
        ids[path] = (await made(admin, `/${path}`, { ...bodies[path](), key: 'own' })).id;
    for (const path of ['actions', 'flows', 'data-sources', 'field-mappings'])
        ids[`${path.slice(0, -1)}-instances`] = (await made(customer, `/connections/${ids.connections}/${path}/own`)).id;
    ids['data-link-table-instance'] = `dataLinkTableKey=own&connectionId=${ids.connections}`;
    ids['app-data-schema-instance'] = 'appDataSchemaKey=own';
    ids['app-event-subscription'] = 'appEventTypeKey=own';
    const table = (await made(customer, `/data-link-table-instance?${ids['data-link-table-instance']}`)).id;
    ids['data-links'] = `dataLinkTableInstanceId=${table}`;
    for (const path of ['app-data-schema-instance', 'app-event-subscription'])
        await made(customer, `/${path}?${ids[path]}`);
    const run = `/flow-runs/${(ids['flow-runs'] = (await made(customer, `/connections/${ids.connections}/flows/own/run`, { input: {} })).id)}`;
    await until(async () => ['completed', 'failed'].includes((await customer('GET', run)).body.state), 'the flow run');
    names.nodes = names.output = 'start';
    names.runs = (await customer('GET', `${run}/nodes/start/runs`)).body.items[0].id;
    names.outputs = (await customer('GET', `${run}/nodes/start/outputs`)).body.items[0].id;
});
after(async () => {
    await server?.stop();
    app?.close();
});

// The address of an operation with the ids of real things.
function address(path) {
    const parts = path.slice(1).split('/');
    const filled = parts.map((part, i) => (part.startsWith('{') ? ((i > 2 && names[parts[i - 1]]) || (ids[parts[i - 1]] ?? 'x')) : part));
    // on a connection or an integration elements are named by their key
    if (filled.length > 3 && parts[3].startsWith('{') && bodies[parts[2]]) filled[3] = 'own';
    const query = ids[parts[0]]?.includes?.('=') ? `?${ids[parts[0]]}` : '';
    return '/' + filled.join('/') + query;
}

function bodyOf(method, path) {
    const parts = path.slice(1).split('/');
    const last = parts.at(-1);
    if (method === 'GET') return undefined;
    if (last === 'links') return { externalRecordId: 'e', appRecordId: 'a', direction: 'both' };
    if (last === 'apply') return { integrationKeys: ['crm'] };
    if (method === 'POST' && bodies[last]) return bodies[last]();
    if (method === 'PUT' && bodies[parts[0]] && parts.length === 2) return { ...bodies[parts[0]](), key: parts[0] === 'integrations' ? 'crm' : 'own', internalId: 'jo', name: 'Put' };
    return method === 'POST' ? {} : { name: 'Changed' };
}

// A schema of the answer, or undefined where the reference gives none.
function schemaOf(operation) {
    const [status] = Object.keys(operation.responses);
    return operation.responses[status].content?.['application/json']?.schema;
}

const excused = (...names) => names.some((name) => name in deviations);

// What does not fit, as "#/where: what".
function problems(schema, value) {
    const absolute = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"reference#/'));
    const validate = ajv.compile(absolute);
    if (validate(value)) return [];
    return validate.errors
        .map((e) => ({ where: `#${e.instancePath.replace(/\/\d+(?=\/|$)/g, '/*')}`, what: e.message }))
        .filter(({ where }) => !excused(where, `#/*/${where.replace(/(\/\*)+$/, '').split('/').at(-1)}`))
        .map(({ where, what }) => `${where}: ${what}`);
}

// Calls every routed operation of some methods; gives how many answers were compared.
async function callAll(methods, t) {
    let compared = 0;
    const failures = [];
    for (const [path, item] of Object.entries(reference.paths))
        for (const [lower, operation] of Object.entries(item)) {
            const method = lower.toUpperCase();
            if (!methods.includes(method) || path.includes('/proxy/')) continue;
            if (!routed.has(`${method} ${path.replace(/\{[^}]*\}/g, '{}')}`)) continue;
            if (excused(`${method} ${path}`)) continue;
            const call = path.startsWith('/connections') || ids[path.split('/')[1]]?.includes?.('=') || path.includes('-instance') ? customer : admin;
            const { status, body, text } = await call(method, address(path), bodyOf(method, path));
            const name = `${method} ${path}`;
            if (status >= 300) {
                failures.push(`${name} (${address(path)}): ${status} ${text}`);
                continue;
            }
            const schema = schemaOf(operation);
            if (!schema) continue;
            compared++;
            failures.push(...problems(schema, body).map((problem) => `${name} ${problem}`));
        }
    assert.deepEqual(failures, []);
    t.diagnostic(`${compared} answers fit`);
    return compared;
}

test('what is read fits', async (t) => assert.ok((await callAll(['GET'], t)) > 50));
test('what is written fits', async (t) => assert.ok((await callAll(['POST', 'PUT', 'PATCH'], t)) > 50));
