// Nobody reaches what is somebody else's: neither another workspace's objects, whatever the
// id, nor another customer's connections, instances and logs. Each try answers as if the
// object did not exist, and changes nothing.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, createWorkspace, customerToken, errorDataProblem, workspaceOf } from '../lib/workspace.mjs';

let server, app, admin, customer, stranger, foreignAdmin, foreignCustomer;
const objects = {}; // path name -> id, all of the first workspace and customer "jo"

const elements = {
    actions: { type: 'http-request', config: { request: { uri: 'https://x.example/' } } },
    flows: { nodes: { start: { type: 'api-trigger', links: [] } } },
    'data-sources': { udm: 'contacts' },
    'field-mappings': { direction: 'both' },
    'data-link-tables': {},
    'app-data-schemas': { schema: { type: 'object' } },
    'app-event-types': { schema: { type: 'object' } },
    packages: {},
    screens: { type: 'integration', blocks: [] },
};

async function made(call, path, body) {
    const answer = await call('POST', path, body);
    assert.ok(answer.status < 300, `POST ${path}: ${answer.text}`);
    return answer.body;
}

before(async () => {
    app = createServer((request, response) => response.end('{"ok":true}'));
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    server = await startServer();
    const workspace = workspaceOf(server);
    const other = await createWorkspace(server, 'Other');
    admin = caller(server.apiUri, adminToken(workspace));
    customer = caller(server.apiUri, customerToken(workspace, 'jo'));
    stranger = caller(server.apiUri, customerToken(workspace, 'al'));
    foreignAdmin = caller(server.apiUri, adminToken(other));
    foreignCustomer = caller(server.apiUri, customerToken(other, 'jo'));

    objects.connectors = (await made(admin, '/connectors', {
        key: 'crm',
        name: 'CRM',
        type: 'client-credentials',
        makeApiClient: {
            type: 'mapping',
            mapping: { baseUri: `http://127.0.0.1:${app.address().port}` },
        },
    })).id;
    objects.integrations = (await made(admin, '/integrations', { key: 'crm', name: 'CRM', connectorKey: 'crm' })).id;
    for (const [path, body] of Object.entries(elements))
        objects[path] = (await made(admin, `/${path}`, { key: `own-${path}`, name: 'Own', ...body })).id;
    for (const call of [customer, stranger, foreignCustomer]) await call('GET', '/self');
    objects.customers = (await admin('GET', '/customers/jo')).body.id;
    objects.connections = (await made(customer, '/connections', {
        integrationKey: 'crm',
        name: 'Mine',
        input: { apiKey: 'jos-secret' },
        credentials: { apiKey: 'jos-secret' },
    })).id;
    const { connections } = objects;
    for (const path of ['actions', 'flows', 'data-sources', 'field-mappings']) {
        const one = path.slice(0, -1);
        objects[`${one}-instance`] = (await made(customer, `/connections/${connections}/${path}/own-${path}`)).id;
    }
    objects['data-link-table-instance'] = (await made(customer,
        `/data-link-table-instance?dataLinkTableKey=own-data-link-tables&connectionId=${connections}`)).id;
    objects['app-data-schema-instance'] = (await made(customer,
        '/app-data-schema-instance?appDataSchemaKey=own-app-data-schemas')).id;
    objects['app-event-subscription'] = (await made(customer,
        '/app-event-subscription?appEventTypeKey=own-app-event-types')).id;
    await customer('GET', `/connections/${connections}/proxy/things`);
    await customer('POST', `/connections/${connections}/actions/own-actions/run`, {});
    objects['connection-requests'] = (await made(customer, '/connection-requests', { integrationKey: 'crm' })).requestId;
});
after(async () => {
    await server?.stop();
    app?.close();
});

// Everything of the workspace, as its administrator and its customer see it.
async function picture() {
    const { body } = await admin('GET', '/export', undefined, { accept: 'application/json' });
    const lists = {};
    for (const path of ['connections', 'customers', 'action-instances', 'flow-instances', 'data-source-instances',
        'field-mapping-instances', 'data-link-table-instances', 'app-data-schema-instances',
        'app-event-subscriptions', 'connectors', 'screens', 'packages']) {
        const { status, body: page } = await admin('GET', `/${path}?includeArchived=true`);
        assert.equal(status, 200, path);
        lists[path] = page.items.map(({ lastActiveAt, ...rest }) => rest);
    }
    return { body, lists };
}

const tries = (path, id) => [
    ['GET', `/${path}/${id}`],
    ['PATCH', `/${path}/${id}`, { name: 'Taken' }],
    ['PUT', `/${path}/${id}`, { name: 'Taken' }],
    ['DELETE', `/${path}/${id}`],
    ['POST', `/${path}/${id}/restore`],
    ['POST', `/${path}/${id}/setup`],
    ['POST', `/${path}/${id}/reset`],
    ['POST', `/${path}/${id}/clone`, {}],
    ['POST', `/${path}/${id}/apply`, { integrationKeys: ['crm'] }],
    ['POST', `/${path}/${id}/run`, {}],
    ['GET', `/${path}/${id}/export`],
    ['GET', `/${path}/${id}/schema`],
    ['GET', `/${path}/${id}/app-schema`],
];
const queryTries = (path, id) => [
    ['GET', `/${path}?id=${id}`],
    ['PATCH', `/${path}?id=${id}`, { name: 'Taken' }],
    ['PUT', `/${path}?id=${id}`, { name: 'Taken' }],
    ['DELETE', `/${path}?id=${id}`],
    ['POST', `/${path}/restore?id=${id}`],
    ['POST', `/${path}/setup?id=${id}`],
    ['POST', `/${path}/reset?id=${id}`],
];

// statuses: what is an answer that tells nothing and does nothing.
async function refused(call, list, statuses) {
    for (const [method, path, body] of list) {
        const answer = await call(method, path, body);
        assert.ok(statuses.includes(answer.status), `${method} ${path}: ${answer.status} ${answer.text}`);
        assert.equal(errorDataProblem(answer.body), undefined, answer.text);
        assert.ok(!answer.text.includes('jos-secret'), path);
    }
}

const plural = ['connectors', 'integrations', 'customers', 'connections', ...Object.keys(elements)];
const instances = ['action-instance', 'flow-instance', 'data-source-instance', 'field-mapping-instance',
    'data-link-table-instance', 'app-data-schema-instance', 'app-event-subscription'];

describe('another workspace', () => {
    test('cannot reach anything by id', async () => {
        const before = await picture();
        for (const path of plural) {
            await refused(foreignAdmin, tries(path, objects[path]), [404]);
            await refused(foreignCustomer, tries(path, objects[path]), [403, 404]);
        }
        for (const path of instances) {
            await refused(foreignAdmin, queryTries(path, objects[path]), [404]);
            await refused(foreignCustomer, queryTries(path, objects[path]), [404]);
        }
        assert.deepEqual(await picture(), before);
    });

    test('lists nothing of it', async () => {
        for (const path of [...plural, 'external-api-logs', 'action-run-logs', 'connection-attempt-logs',
            'action-instances', 'flow-instances', 'data-link-table-instances']) {
            const { status, body, text } = await foreignAdmin('GET', `/${path}?includeArchived=true`);
            assert.equal(status, 200, path);
            assert.ok(!Object.values(objects).some((id) => text.includes(id)), `${path}: ${text}`);
            assert.ok(Array.isArray(body.items));
        }
        const { text } = await foreignAdmin('GET', '/export', undefined, { accept: 'application/json' });
        assert.ok(!Object.values(objects).some((id) => text.includes(id)));
    });

    test('cannot name its elements as parents, integrations or connections of own ones', async () => {
        const before = await picture();
        const bodies = [
            ['/actions', { name: 'A', integrationId: objects.integrations }],
            ['/actions', { name: 'A', parentId: objects.actions }],
            ['/flows', { name: 'F', integrationId: objects.integrations }],
            [`/integrations/${objects.integrations}/actions`, { name: 'A' }],
            [`/connections/${objects.connections}/actions/own-actions`, {}],
            [`/connections/${objects.connections}/proxy/things`, {}],
            [`/connections/${objects.connections}/operations/list/run`, {}],
            [`/connections/${objects.connections}/execute-request`, { key: 'list' }],
            ['/act', { connectionId: objects.connections, api: { path: '/' } }],
            ['/act', { id: objects.actions }],
            ['/connection-options', { integrationId: objects.integrations }],
            ['/connection-requests', { connectionId: objects.connections }],
        ];
        for (const [path, body] of bodies)
            for (const call of [foreignAdmin, foreignCustomer]) {
                const { status, text } = await call('POST', path, body);
                assert.ok(status >= 400 && status < 500, `POST ${path}: ${status} ${text}`);
            }
        // a connection of ours cannot be made to an integration or connector of theirs
        for (const body of [{ integrationId: objects.integrations }, { connectorId: objects.connectors }]) {
            const { status, text } = await foreignCustomer('POST', '/connections', { ...body, credentials: {} });
            assert.equal(status, 404, text);
        }
        // an integration of ours with their connector is not ready
        const { body } = await foreignAdmin('POST', '/integrations', { key: 'x', name: 'X', connectorId: objects.connectors });
        assert.equal(body.state, 'CONFIGURATION_ERROR');
        assert.deepEqual(await picture(), before);
    });
});

describe('another customer', () => {
    test('cannot reach connections and instances', async () => {
        const before = await picture();
        const { connections } = objects;
        await refused(stranger, [
            ...tries('connections', connections),
            ['POST', `/connections/${connections}/disconnect`],
            ['POST', `/connections/${connections}/test`],
            ['POST', `/connections/${connections}/refresh-credentials`],
            ['GET', `/connections/${connections}/operations`],
            ['GET', `/connections/${connections}/data`],
            ['GET', `/connections/${connections}/actions`],
            ['GET', `/connections/${connections}/proxy/things`],
            ['POST', `/connections/${connections}/api/things`, {}],
            ['POST', `/connections/${connections}/actions/own-actions/run`, {}],
            ['GET', `/connections/${connections}/actions/${objects['action-instance']}`],
        ], [404, 403]);
        for (const path of instances) await refused(stranger, queryTries(path, objects[path]), [404]);
        for (const path of ['flow-instances', 'data-source-instances', 'field-mapping-instances'])
            await refused(stranger, tries(path, objects[path.slice(0, -1)]), [404]);
        assert.deepEqual(await picture(), before);
    });

    test('cannot use a customer or user id to see more', async () => {
        const { connections, customers } = objects;
        for (const query of [`userId=${customers}`, `tenantId=${customers}`, 'userId=jo', 'tenantId=jo', 'includeArchived=true', `connectionId=${connections}`])
            for (const path of ['connections', 'action-instances', 'flow-instances', 'data-source-instances',
                'field-mapping-instances', 'data-link-table-instances', 'app-data-schema-instances',
                'app-event-subscriptions', 'external-api-logs', 'action-run-logs', 'connection-attempt-logs', 'actions', 'flows', 'data-links']) {
                const { status, text } = await stranger('GET', `/${path}?${query}`);
                assert.ok(status < 500, text);
                for (const mine of [connections, customers, ...instances.map((i) => objects[i])])
                    assert.ok(!JSON.parse(text).items?.some((item) => JSON.stringify(item).includes(mine)), `${path}?${query}: ${text}`);
            }
        const { status } = await stranger('POST', '/connections', { integrationKey: 'crm', userId: customers, name: 'Theirs', credentials: {} });
        assert.ok(status < 500);
        const { body } = await customer('GET', '/connections');
        assert.deepEqual(body.items.map((c) => c.name), ['Mine']);
    });

    test('cannot read logs by id', async () => {
        for (const path of ['external-api-logs', 'action-run-logs']) {
            const { body } = await customer('GET', `/${path}`);
            assert.ok(body.items.length > 0, path);
            const { id } = body.items[0];
            assert.equal((await customer('GET', `/${path}/${id}`)).status, 200);
            for (const call of [stranger, foreignAdmin, foreignCustomer])
                await refused(call, [['GET', `/${path}/${id}`], ['GET', `/${path}/${id}/details`]], [404]);
        }
        await refused(stranger, [['GET', `/connection-requests/${objects['connection-requests']}`]], [404]);
        await refused(foreignAdmin, [['GET', `/connection-requests/${objects['connection-requests']}`]], [404]);
    });

    test('cannot do what is for administrators', async () => {
        const before = await picture();
        for (const path of plural.filter((p) => p !== 'connections'))
            await refused(customer, [
                ['POST', `/${path}`, { name: 'X' }],
                ['PATCH', `/${path}/${objects[path]}`, { name: 'X' }],
                ['PUT', `/${path}/${objects[path]}`, { name: 'X' }],
                ['DELETE', `/${path}/${objects[path]}`],
            ], [403]);
        await refused(customer, [
            ['GET', '/customers'],
            ['GET', `/connections/${objects.connections}?includeSecrets=true`],
            ['GET', '/connections?includeSecrets=true'],
            ['GET', '/client-tokens'],
            ['GET', '/export'],
            ['POST', '/import', {}],
            ['GET', '/org-workspaces'],
            ['GET', '/account'],
        ], [401, 403]);
        assert.deepEqual(await picture(), before);
    });
});

test('a token signed with the secret of one workspace is not one of another', async () => {
    const { signToken } = await import('../lib/workspace.mjs');
    const other = { key: server.workspaceKey, secret: 'x'.repeat(32) };
    const call = caller(server.apiUri, signToken(other, { isAdmin: true }));
    assert.equal((await call('GET', '/actions')).status, 401);
});
