// What the server itself makes of elements: sealed parameters, states of a flow's nodes,
// schemas of outputs, what an instance needs on its connection; and who may see or do it.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as sdk from '@membranehq/sdk';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, signToken, workspaceOf } from '../lib/workspace.mjs';

let server, workspace, admin, customer, call, app, appUri;

const client = (token) => new sdk.MembraneClient({ apiUri: server.apiUri, token });

before(async () => {
    app = createServer((request, answer) => {
        answer.setHeader('content-type', 'application/json');
        answer.end(JSON.stringify({ key: request.headers['x-key'] ?? null }));
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    appUri = `http://127.0.0.1:${app.address().port}`;
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } });
    workspace = workspaceOf(server);
    admin = client(adminToken(workspace));
    customer = client(customerToken(workspace, 'c-1'));
    call = caller(server.apiUri, adminToken(workspace));
    await admin.post('connectors', {
        key: 'crm',
        name: 'CRM',
        parametersSchema: { type: 'object', properties: { site: { type: 'string' } }, required: ['site'] },
        makeApiClient: {
            type: 'mapping',
            mapping: { baseUri: appUri, headers: { 'x-key': { $var: '$.connectorParameters.apiKey' } } },
        },
        options: { plain: { type: 'client-credentials', title: 'Plain' } },
    });
});
after(async () => {
    await server?.stop();
    app?.close();
});

// The documents as the disk has them.
const onDisk = (text) =>
    readdirSync(server.dataDir)
        .filter((name) => name.startsWith('membrane.db'))
        .some((name) => readFileSync(join(server.dataDir, name)).includes(text));

test('parameters of an integration: for administrators, sealed on disk, missing ones are told', async () => {
    const made = await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'crm' });
    assert.equal(made.hasMissingParameters, true);
    assert.equal(made.state, 'CONFIGURATION_ERROR');
    assert.equal(made.errors[0].type, 'configuration');
    const put = await call('PUT', '/integrations/crm/parameters', { site: 'zebra-parameter' });
    assert.deepEqual(put.body, { site: 'zebra-parameter' });
    assert.deepEqual((await call('GET', '/integrations/crm/parameters')).body, { site: 'zebra-parameter' });
    assert.equal((await admin.integration('crm').get()).state, 'READY');
    const { revision } = await admin.integration('crm').get();
    await call('PUT', '/integrations/crm/parameters', { site: 'zebra-parameter' });
    assert.equal((await admin.integration('crm').get()).revision, revision);
    assert.equal((await customer.integration('crm').get()).parameters, undefined);
    const mine = caller(server.apiUri, customerToken(workspace, 'c-1'));
    for (const method of ['GET', 'PUT'])
        assert.equal((await mine(method, '/integrations/crm/parameters', method === 'PUT' ? {} : undefined)).status, 403);
    assert.equal(onDisk('zebra-parameter'), false);
});

test('parameters of a way to connect: the same, and they are used', async () => {
    const optionsConfig = { plain: { parameters: { apiKey: 'giraffe-option' } } };
    const changed = await admin.integration('crm').patch({ optionsConfig });
    assert.deepEqual(changed.optionsConfig, optionsConfig);
    const again = await admin.integration('crm').put(changed);
    assert.equal(again.revision, changed.revision);
    assert.deepEqual((await customer.integration('crm').get()).optionsConfig, { plain: {} });
    const text = (await call('GET', '/actions')).text + (await call('GET', '/connections')).text;
    assert.ok(!text.includes('giraffe-option'));
    assert.equal(onDisk('giraffe-option'), false);

    const connection = await customer.connections.create({ integrationKey: 'crm', authOptionKey: 'plain', input: {} });
    assert.deepEqual(await customer.connection(connection.id).proxy.get('/'), { key: 'giraffe-option' });
    assert.ok(!(await call('GET', `/connections/${connection.id}`)).text.includes('giraffe-option'));

    const exported = (await call('GET', '/export', undefined, { accept: 'application/json' })).body;
    assert.deepEqual(exported.integration[0].optionsConfig, optionsConfig);
    const imported = (await call('POST', '/import', exported)).body;
    assert.deepEqual([imported.created, imported.updated, imported.archived], [0, 0, 0]);
});

test('the output schema: custom, else what the mapping gives, else what the type gives', async () => {
    const schema = (type, properties) => ({ type, ...(properties && { properties }) });
    const made = await admin.actions.create({
        name: 'Shaped',
        type: 'http-request',
        config: { request: { uri: 'https://x.example/' }, responseSchema: schema('object', { age: schema('number') }) },
    });
    sdk.ActionApiResponse.parse(made);
    assert.deepEqual(made.outputSchema, made.defaultOutputSchema);
    assert.deepEqual(made.outputSchema.properties.data.properties.age, schema('number'));
    const mapped = await admin.action(made.id).patch({
        outputMapping: { years: { $var: '$.output.data.age' }, kind: 'person' },
    });
    sdk.ActionApiResponse.parse(mapped);
    assert.equal(mapped.outputSchema.properties.years.type, 'number');
    assert.equal(mapped.outputSchema.properties.kind.type, 'string');
    assert.deepEqual(mapped.transformedOutputSchema, mapped.outputSchema);
    assert.deepEqual(mapped.defaultOutputSchema, made.defaultOutputSchema);
    const custom = await admin.action(made.id).patch({ customOutputSchema: schema('string') });
    assert.deepEqual(custom.outputSchema, schema('string'));
    const types = {
        'list-data-records': 'records',
        'find-data-record-by-id': 'fields',
        'create-data-record': 'id',
    };
    for (const [type, member] of Object.entries(types))
        assert.ok((await admin.actions.create({ name: type, type })).outputSchema.properties[member], type);
});

test('an instance gets the data sources and field mappings that it needs, also per instanceKey', async () => {
    await admin.dataSources.create({ key: 'people', name: 'People', collectionKey: 'people' });
    await admin.fieldMappings.create({ key: 'person', name: 'Person', dataSourceKey: 'people', importValue: {} });
    await admin.actions.create({
        key: 'list-people',
        name: 'List',
        type: 'list-data-records',
        config: { dataSource: { key: 'people' }, fieldMapping: { key: 'person' } },
    });
    const { id } = (await customer.connections.find({ integrationKey: 'crm' })).items[0];
    const level = customer.connection(id);
    const action = await level.action('list-people').create();
    const source = (await level.dataSources.list()).items;
    const mapping = (await level.fieldMappings.list()).items;
    assert.deepEqual([source.length, mapping.length], [1, 1]);
    assert.equal(source[0].universalDataSourceId, (await admin.dataSource('people').get()).id);
    assert.equal(mapping[0].dataSourceInstanceId, source[0].id);
    assert.deepEqual(action.dependencies.map((each) => each.id).sort(), [source[0].id, mapping[0].id].sort());

    // with an own key, also when many ask at the same time
    const made = await Promise.all(
        Array.from({ length: 6 }, () => level.action('list-people', { instanceKey: 'two' }).get({ autoCreate: true })),
    );
    assert.equal(new Set(made.map((each) => each.id)).size, 1);
    const two = (await level.dataSources.list()).items.filter((each) => each.instanceKey === 'two');
    assert.equal(two.length, 1);
    assert.ok(made[0].dependencies.some((each) => each.id === two[0].id));

    // what went missing comes back with the set-up
    await level.dataSource('people').archive();
    await level.action('list-people').setup();
    const after = await level.action('list-people').get();
    assert.equal(after.state, 'READY');
    assert.ok(after.dependencies.every((each) => each.id !== source[0].id));
});

test('each node of a flow instance has its own state', async () => {
    await admin.flows.create({
        key: 'sync',
        name: 'Sync',
        nodes: {
            start: { type: 'api-trigger', links: [{ key: 'good' }, { key: 'bad' }] },
            good: { type: 'list-data-records', config: { dataSource: { key: 'people' } }, links: [] },
            bad: { type: 'list-data-records', config: { dataSource: { key: 'not there yet' } }, links: [] },
        },
    });
    const { id } = (await customer.connections.find({ integrationKey: 'crm' })).items[0];
    const flow = await customer.connection(id).flow('sync').create();
    sdk.FlowApiResponse.parse(flow);
    assert.deepEqual(
        Object.entries(flow.nodes).map(([key, node]) => [key, node.state]),
        [['start', 'READY'], ['good', 'READY'], ['bad', 'SETUP_FAILED']],
    );
    assert.equal(flow.nodes.good.dependencies[0].type, 'data-source');
    assert.equal(flow.nodes.bad.errors[0].type, 'dependency_error');
    assert.equal(flow.state, 'CONFIGURATION_ERROR');
    assert.deepEqual((await admin.flow('sync').get()).nodes.good.state, undefined);

    // what is sent back is no customisation
    const put = await customer.connection(id).flow('sync').put(flow);
    assert.equal(put.isCustomized, false);
    assert.equal(put.revision, flow.revision);

    await admin.dataSources.create({ key: 'not there yet', name: 'Late', collectionKey: 'late' });
    const later = await customer.connection(id).flow('sync').get();
    assert.equal(later.nodes.bad.state, 'READY');
    assert.equal(later.state, 'READY');
});

test('an archived customer has no live connection, and its token is refused', async () => {
    const own = client(customerToken(workspace, 'c-gone'));
    const connection = await own.connections.create({ integrationKey: 'crm', authOptionKey: 'plain', input: {} });
    const second = await own.connections.create({
        integrationKey: 'crm', authOptionKey: 'plain', input: {}, allowMultipleConnections: true,
    });
    const action = await own.connection(connection.id).action('list-people').create();
    const { id } = await own.self.get();
    await admin.customer(id).archive();
    for (const one of [connection, second]) {
        const left = await admin.connection(one.id).get();
        assert.ok(left.archivedAt);
        assert.equal(left.connected, false);
    }
    assert.equal((await admin.connections.find({ tenantId: id })).items.length, 0);
    assert.equal((await admin.actionInstance({ id: action.id }).get()).isDeactivated, true);
    await assert.rejects(own.self.get(), (error) => error.data.key === 'access_denied');
    await admin.customer(id).archive(); // once more is no error
    await admin.customer(id).restore();
    assert.equal((await own.self.get()).id, id);
    assert.ok((await admin.connection(connection.id).get()).archivedAt);
});

// A person with a role in the organisation; gives a call with their session.
async function person(email, role) {
    const link = new URL(server.adminUri).searchParams.get('token');
    server.session ??= (await caller(server.apiUri)('POST', '/auth/link', { token: link })).body.token;
    const owner = caller(server.apiUri, server.session);
    const { items } = (await owner('GET', '/org-workspaces')).body;
    const { orgId } = items.find((each) => each.key === workspace.key);
    const member = await owner('POST', `/orgs/${orgId}/users`, { email });
    const settled = await owner('PATCH', `/orgs/${orgId}/users/${member.body.id}`, { role, status: 'active' });
    assert.equal(settled.status, 200, settled.text);
    const answer = await owner('POST', '/admin/users/link', { email });
    assert.ok(answer.status < 300, answer.text);
    const token = new URL(answer.body.signInUri).searchParams.get('token');
    const session = (await caller(server.apiUri)('POST', '/auth/link', { token })).body.token;
    const speak = caller(server.apiUri, session);
    return (method, path, body) => speak(method, path, body, { 'x-membrane-workspace': workspace.key });
}

test('who may only read changes nothing and sees no secret', async () => {
    const reader = await person('reader@example.com', 'read-only');
    const { id } = (await admin.connections.find({ integrationKey: 'crm' })).items[0];
    for (const path of ['/actions', '/integrations/crm', `/connections/${id}`, '/customers', '/action-run-logs'])
        assert.equal((await reader('GET', path)).status, 200, path);
    const integration = (await reader('GET', '/integrations/crm')).body;
    assert.equal(integration.parameters, undefined);
    assert.deepEqual(integration.optionsConfig, { plain: {} });
    assert.ok((await admin.integration('crm').get()).parameters);
    assert.ok(!(await reader('GET', '/export')).text.includes('giraffe-option'));
    assert.equal((await reader('GET', `/connections/${id}?includeSecrets=true`)).status, 403);
    assert.equal((await reader('POST', '/connection-options', { integrationKey: 'crm' })).status, 200);
    const writes = [
        ['POST', '/actions', { name: 'No' }],
        ['PATCH', '/actions/list-people', { name: 'No' }],
        ['PATCH', `/connections/${id}`, { name: 'No' }],
        ['DELETE', `/connections/${id}`],
        ['POST', `/connections/${id}/refresh-credentials`],
        ['POST', `/connections/${id}/proxy/x`, {}],
        ['PUT', `/connections/${id}/actions/list-people`, { name: 'No' }],
        ['PATCH', `/action-instance?parentKey=list-people&connectionId=${id}`, { name: 'No' }],
        ['POST', `/connections/${id}/actions/list-people/run`, {}],
        ['POST', '/act', { key: 'list-people', connectionId: id }],
        ['POST', `/connections/${id}/data/people/create`, { fields: {} }],
        ['POST', '/flow-runs', { flowInstanceId: 'x' }],
        ['POST', '/files', {}],
        ['POST', '/customers', { name: 'No' }],
        ['PUT', '/integrations/crm/parameters', {}],
    ];
    for (const [method, path, body] of writes) {
        const { status, body: error } = await reader(method, path, body);
        assert.equal(status, 403, `${method} ${path}`);
        assert.equal(error.key, 'access_denied');
    }
    const member = await person('member@example.com', 'member');
    assert.equal((await member('PATCH', '/actions/list-people', { description: 'Yes' })).status, 200);
});

test('a token without an own claim of administration stays a customer', async () => {
    for (const isAdmin of [0, false, 'false', null]) {
        const speak = caller(server.apiUri, signToken(workspace, { id: 'c-plain', isAdmin }));
        assert.equal((await speak('GET', '/customers')).status, 403);
        assert.equal((await speak('GET', '/self')).status, 200);
    }
    for (const isAdmin of [true, 1, 'true'])
        assert.equal((await caller(server.apiUri, signToken(workspace, { isAdmin }))('GET', '/customers')).status, 200);
});
