// Every accessor of both SDKs that makes a request is called here; each answer is parsed
// with the SDK's own schema, and at the end nothing that the clients offer may be left over.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import * as sdk from '@membranehq/sdk';
import { IntegrationAppClient as OldClient } from '@integration-app/sdk';

import { startCrm, uploadCrm } from '../lib/crm.mjs';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

// Needs a browser, or makes no request of its own.
const local = new Set([
    'open', 'openConfiguration', 'openEditor', 'embedEditor', 'openNewConnection', 'openNewConnectionV2', 'connect',
    'reconnect', 'openReconnectUI', 'createConnection', 'getPath', 'getSelector', 'getUniqueIdentifier', 'getProxyPath',
    'uri', 'constructor', 'createEventSource', 'mintToken', 'makeApiRequest', 'handleRequestError', 'getScreensPostData', 'getScreensEmbedUri', 'getEmbedUri', 'log', 'getToken', 'retrieveLogs',
]);
// Runs of flows, events, and what the older client offered before there were collections
// and packages, have tests of their own or no counterpart.
const elsewhere = /^(ExternalEvent|AppEventsAccessor|Scenario|UI$|FlowRunAccessor)/;
const entrances = /Client\.(externalEventSubscriptions?|flowRun|scenarios?|appEvents)$|\.dataDirectory$/;

const methodsOf = (object) => {
    const names = new Set();
    for (let p = Object.getPrototypeOf(object); p && p !== Object.prototype; p = Object.getPrototypeOf(p))
        Object.getOwnPropertyNames(p).forEach((name) => names.add(name));
    return [...names].filter((name) => !local.has(name) && typeof object[name] === 'function');
};
const isAccessor = (value) => value && typeof value === 'object' && /Accessor|Proxy$|UI$/.test(value.constructor.name);

// A client that notes which methods succeeded: "ActionAccessor.get" -> ways it was named.
function watched(client) {
    const done = new Map();
    const seen = new Map(); // class -> methods
    const ways = (object) => {
        const selector = object.selector ?? object.actionSelector;
        return typeof selector === 'object' ? 'object' : 'text';
    };
    const watch = (object) => {
        const name = object.constructor.name;
        if (!seen.has(name) && !elsewhere.test(name)) seen.set(name, methodsOf(object));
        return new Proxy(object, {
            get(target, property) {
                const value = target[property];
                if (isAccessor(value)) return watch(value);
                if (typeof value !== 'function') return value;
                return (...args) => {
                    const result = value.apply(target, args);
                    if (isAccessor(result)) {
                        note(name, property, 'text');
                        return watch(result);
                    }
                    if (typeof result?.then !== 'function') return result;
                    return result.then((answer) => (note(name, property, ways(target)), answer));
                };
            },
        });
    };
    const note = (name, property, way) => {
        const key = `${name}.${String(property)}`;
        if (!done.has(key)) done.set(key, new Set());
        done.get(key).add(way);
    };
    const missing = () =>
        [...seen].flatMap(([name, methods]) =>
            methods.map((method) => `${name}.${method}`).filter((key) => !done.has(key) && !entrances.test(key)),
        );
    return { client: new Proxy(client, { get: (target, property) => watch(target)[property] }), missing, done };
}

let server, app;
before(async () => {
    [app, server] = await Promise.all([startCrm(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    await uploadCrm(server, app);
});
after(async () => {
    app?.stop();
    await server?.stop();
});

function parsed(schema, value) {
    const result = schema.safeParse(value);
    assert.ok(result.success, `${JSON.stringify(value)}\n${result.error}`);
    return value;
}
const page = (schema, value) => {
    value.items.forEach((item) => parsed(schema, item));
    return value.items;
};

const elements = {
    action: { many: 'actions', schema: sdk.ActionApiResponse, body: { type: 'http-request', config: { request: { uri: 'https://x.example/' } } }, layered: true },
    flow: { many: 'flows', schema: sdk.FlowApiResponse, body: { nodes: { start: { type: 'api-trigger', links: [] } } }, layered: true },
    dataSource: { many: 'dataSources', schema: sdk.DataSourceApiResponse, body: { collectionKey: 'people' }, layered: true },
    fieldMapping: { many: 'fieldMappings', schema: sdk.FieldMappingApiResponse, body: { importValue: {}, appSchema: { type: 'object' } }, layered: true },
    dataLinkTable: { many: 'dataLinkTables', schema: sdk.DataLinkTableApiResponse, body: {} },
    appDataSchema: { many: 'appDataSchemas', schema: sdk.AppDataSchemaApiResponse, body: { schema: { type: 'object' } } },
    appEventType: { many: 'appEventTypes', schema: sdk.AppEventTypeApiResponse, body: { schema: { type: 'object' } } },
    package: { many: 'packages', schema: sdk.PackageApiResponse, body: {} },
    screen: { many: 'screens', schema: sdk.ScreenApiResponse, body: { type: 'integration', blocks: [] } },
    integration: { many: 'integrations', schema: sdk.IntegrationApiResponse, body: { connectorKey: 'crm' } },
};

for (const [age, Client] of Object.entries({ newer: sdk.MembraneClient, older: OldClient }))
    describe(`every accessor of the ${age} SDK`, () => {
        let admin, customer, connection;
        const k = (name) => `${name} of ${age}`;
        const integrationKey = `crm-${age}`;

        before(async () => {
            const workspace = workspaceOf(server);
            admin = watched(new Client({ apiUri: server.apiUri, token: adminToken(workspace) }));
            customer = watched(new Client({ apiUri: server.apiUri, token: customerToken(workspace, `c-${age}`) }));
            await admin.client.integrations.create({ key: integrationKey, name: 'CRM', connectorKey: 'crm' });
            connection = await customer.client.connections.create({ integrationKey, input: {} });
        });

        for (const [one, { many, schema, body, layered }] of Object.entries(elements)) {
            if (age === 'older' && one === 'package') continue;
            test(one, async () => {
                const client = admin.client;
                const key = k(one);
                await client[many].create({ key, name: key, ...body });
                page(schema, await client[many].find({ search: key }));
                assert.ok((await client[many].findAll()).length > 0);
                for (const selector of one === 'integration' ? [key] : [key, { key }]) {
                    const get = parsed(schema, await client[one](selector).get());
                    parsed(schema, await client[one](selector).put({ ...get, description: 'put' }));
                    parsed(schema, await client[one](selector).patch({ description: 'patched' }));
                    for (const operation of ['setup', 'reset'])
                        if (client[one](selector)[operation]) await client[one](selector)[operation]();
                    if (client[one](selector).apply)
                        parsed(schema, (await client[one](selector).apply([integrationKey]))[0]);
                    if (client[one](selector).getAppSchema)
                        assert.deepEqual(await client[one](selector).getAppSchema(), { type: 'object' });
                    await client[one](selector).archive();
                    await client[one](selector).restore();
                }
                if (layered) await levels(one, many, schema, body);
            });
        }

        async function levels(one, many, schema, body) {
            const key = `layered ${k(one)}`;
            await admin.client[many].create({ key, name: key, ...body });
            const integration = admin.client.integration(integrationKey);
            await integration[many].create({ key: `own ${key}`, name: 'Own', ...body });
            page(schema, await integration[many].list());
            parsed(schema, await integration[one](key).get());
            parsed(schema, await integration[one](key).patch({ description: 'p' }));
            parsed(schema, await integration[one](key).put({ name: 'N', ...body }));
            parsed(schema, await integration[one](key).reset());
            await integration[one](`own ${key}`).archive();

            const level = customer.client.connection(connection.id);
            parsed(schema, await level[one](key).create());
            page(schema, await level[many].list());
            parsed(schema, await level[one](key).get());
            parsed(schema, await level[one](key).patch({ name: 'P' }));
            parsed(schema, await level[one](key).put({ name: 'Q' }));
            parsed(schema, await level[one](key).setup());
            parsed(schema, await level[one](key).reset());
            if (one === 'flow') {
                await level.flow(key).enable();
                await level.flow(key).disable();
                await level.flow(key).run({ input: {} });
            }
            await instance(`${one}Instance`, schema, { [one === 'action' ? 'parentKey' : `${one}Key`]: key });
            await level[one](key).archive();
        }

        async function instance(one, schema, selector) {
            const named = { connectionId: connection.id, instanceKey: 'i', ...selector };
            const client = customer.client;
            const made = parsed(schema, await client[one](named).create());
            page(schema, await client[`${one}s`].find({}));
            for (const each of [named, made.id]) {
                parsed(schema, await client[one](each).get());
                parsed(schema, await client[one](each).put({ name: 'Put' }));
                parsed(schema, await client[one](each).patch({ name: 'Patched' }));
                assert.equal(await client[one](each).getId(), made.id);
                for (const operation of ['setup', 'reset', 'enable', 'disable', 'updateToLatestFlow'])
                    if (client[one](each)[operation]) await client[one](each)[operation]();
            }
            await client[one](named).archive();
            parsed(schema, await client[one](made.id).restore());
            await client[one](made.id).delete();
            await client[one](made.id).restore();
            return made;
        }

        test('instances: of customers, and their own methods', async () => {
            const client = customer.client;
            await instance('dataLinkTableInstance', sdk.DataLinkTableInstanceApiResponse, { dataLinkTableKey: k('dataLinkTable') });
            const table = client.dataLinkTableInstance({ dataLinkTableKey: k('dataLinkTable'), connectionId: connection.id, instanceKey: 'i' });
            await table.createLink({ appRecordId: 'a', externalRecordId: 'e', direction: 'both' });
            page(sdk.DataLink, await table.findLinks({ appRecordId: 'a' }));
            await table.deleteLink({ appRecordId: 'a', externalRecordId: 'e', direction: 'both' });
            assert.equal((await table.findLinks({})).items.length, 0);
            await instance('appDataSchemaInstance', sdk.AppDataSchemaInstanceApiResponse, { appDataSchemaKey: k('appDataSchema') });
            await instance('appEventSubscription', sdk.AppEventSubscriptionApiResponse, { appEventTypeKey: k('appEventType') });
            await client.appEventSubscription({ appEventTypeKey: k('appEventType'), instanceKey: 'i' }).subscribe();
        });

        test('flow instances run', async () => {
            const client = customer.client;
            const selector = { flowKey: k('flow'), connectionId: connection.id };
            const made = parsed(sdk.FlowApiResponse, await client.flowInstances.create({ flowKey: k('flow'), ...selector }));
            await client.flowInstance(made.id).patch({ enabled: true });
            parsed(sdk.FlowRunApiResponse, await client.flowInstance(made.id).startRun({ input: {} }));
            await client.flowInstance(selector).run({ input: {} });
            const run = parsed(sdk.FlowRunApiResponse, await client.flowRuns.create({ flowInstanceId: made.id }));
            assert.ok((await client.flowRuns.find({ connectionId: connection.id })).items.some((each) => each.id === run.id));
        });

        test('actions run', async () => {
            const client = customer.client;
            const key = k('running');
            await admin.client.actions.create({
                key, name: key, type: 'api-request-to-external-app', config: { request: { path: '/people' } },
            });
            const people = ({ output }) => assert.equal(output.data.items.length, 2);
            if (age === 'newer') {
                people(await client.action(key).run({}, { connectionId: connection.id }));
                people(await client.action({ key }).run({}, { integrationKey }));
            }
            people(await client.connection(connection.id).action(key).run());
            people(await client.actionInstance({ parentKey: key, connectionId: connection.id, autoCreate: true }).run());
        });

        test('data source instances reach the collection', async () => {
            const client = customer.client;
            const source = client.dataSourceInstance({
                dataSourceKey: k('dataSource'), connectionId: connection.id, autoCreate: true,
            });
            parsed(sdk.DataCollectionSpec, await source.getCollection());
            parsed(sdk.DataCollectionListResponse, await source.listRecords());
            parsed(sdk.DataCollectionFindByIdResponse, await source.findRecordById({ id: '1' }));
            parsed(sdk.DataCollectionMatchResponse, await source.matchRecord({ query: { email: 'ada@x.org' } }));
            const { id } = parsed(sdk.DataCollectionCreateResponse, await source.createRecord({ fields: { email: 'e@x.org' } }));
            parsed(sdk.DataCollectionUpdateResponse, await source.updateRecord({ id, fields: { lastName: 'E' } }));
            await source.deleteRecord({ id });
            await source.unifiedFieldsToNative({ firstName: 'Ada' });
            // this application cannot search: the method is reached and says so
            for (const method of ['searchRecords', 'findRecords'])
                await source[method]({ query: 'x' }).then(
                    () => {},
                    (error) => {
                        assert.equal(error.data.type, 'bad_request');
                        customer.done.set(`DataSourceInstanceAccessor.${method}`, new Set());
                    },
                );
        });

        test('connections', async () => {
            const client = customer.client;
            const one = client.connection(connection.id);
            page(sdk.ConnectionApiResponse, await client.connections.find({ integrationKey }));
            parsed(sdk.ConnectionApiResponse, await one.get());
            parsed(sdk.ConnectionApiResponse, await one.patch({ name: 'Mine' }));
            parsed(sdk.ConnectionApiResponse, await one.put({ name: 'My own' }));
            await assert.rejects(one.refreshCredentials(), (error) => error.data.type === 'bad_request');
            customer.done.set('ConnectionAccessor.refreshCredentials', new Set());
            assert.equal((await one.request('people', { mail: 'new@x.org' })).mail, 'new@x.org');
            assert.equal((await one.proxy.get('/people')).items.length, 2);
            const { gid } = await one.proxy.post('/people', { mail: 'p@x.org' });
            assert.equal((await one.proxy.patch(`/people/${gid}`, { team: 't' })).team, 't');
            await one.proxy.put(`/people/${gid}`, {});
            await assert.rejects(one.proxy.delete('/none/1'));
            await one.proxy.delete('/people/1');
            app.reset();
            const people = one.dataCollection('people');
            parsed(sdk.DataCollectionSpec, await people.get());
            parsed(sdk.DataCollectionListResponse, await people.list());
            parsed(sdk.DataCollectionFindByIdResponse, await people.findById({ id: '1' }));
            parsed(sdk.DataCollectionMatchResponse, await people.match({ query: { email: 'ada@x.org' } }));
            const { id } = parsed(sdk.DataCollectionCreateResponse, await people.create({ fields: { email: 'e@x.org' } }));
            parsed(sdk.DataCollectionUpdateResponse, await people.update({ id, fields: { lastName: 'E' } }));
            await people.delete({ id });
            await assert.rejects(people.search({ query: 'x' }), (error) => error.data.type === 'bad_request');
            customer.done.set('ConnectionDataCollectionAccessor.search', new Set());
            await assert.rejects(one.operation('none').get(), (error) => error.data.key === 'not_found');
            await assert.rejects(one.operation('none').run({}));
            await assert.rejects(client.connectionRequest(connection.id, 'none', {}));
            customer.done.set(`${Client.name}.connectionRequest`, new Set());
            // operations have their own application: connections.test.mjs
            ['get', 'run'].forEach((m) => customer.done.set(`ConnectionOperationAccessor.${m}`, new Set()));
        });

        test('integrations tell what their connector holds', async () => {
            const one = customer.client.integration(integrationKey);
            assert.ok((await one.getConnectorSpec()).name);
            assert.deepEqual(await one.getOperations(), []);
            await assert.rejects(one.getOperation('none'), (error) => error.data.key === 'not_found');
            customer.done.set('IntegrationAccessor.getOperation', new Set());
            const collections = await one.getDataCollections();
            collections.forEach((each) => parsed(sdk.DataCollectionSpec, each));
            parsed(sdk.DataCollectionSpec, await one.getDataCollection('people'));
            if (age === 'older') {
                assert.deepEqual(await one.getDataLocations(), collections);
                assert.equal((await one.getDataLocation('people')).type, 'collection');
            }
        });

        test('customers and self', async () => {
            const { client } = admin;
            const made = parsed(sdk.CustomerApiResponse, await client.customers.create({ name: 'New' }));
            page(sdk.CustomerApiResponse, await client.customers.find({}));
            await client.customers.findAll();
            for (const selector of [made.id, { id: made.id }]) {
                const get = parsed(sdk.CustomerApiResponse, await client.customer(selector).get());
                parsed(sdk.CustomerApiResponse, await client.customer(selector).put({ ...get, name: 'Put' }));
                parsed(sdk.CustomerApiResponse, await client.customer(selector).patch({ name: 'Patched' }));
                await client.customer(selector).archive();
                await client.customer(selector).restore();
            }
            parsed(sdk.CustomerApiResponse, await customer.client.self.get());
            await customer.client.self.patch({ credentials: { a: 1 } });
            await customer.client.setCredentials({ a: 2 });
        });

        test('any address, by hand', async () => {
            const { client } = admin;
            const { id } = await client.post('actions', { name: 'By hand' });
            assert.equal((await client.get(`/actions/${id}`)).id, id);
            await client.put(`actions/${id}`, { name: 'Put' });
            await client.patch(`actions/${id}`, { name: 'Patched' });
            await client.delete(`actions/${id}`);
            assert.equal((await client.get('actions', { search: 'Patched', limit: 1 })).items.length, 0);
        });

        test('the connection ends', async () => {
            const { client } = customer;
            if (client.integration(integrationKey).disconnect) await client.integration(integrationKey).disconnect();
            await client.connection(connection.id).archive();
            assert.ok((await client.connection(connection.id).get()).archivedAt);
        });

        test('nothing is left over', () => {
            const left = admin.missing().filter((key) => !customer.done.has(key));
            const others = customer.missing().filter((key) => !admin.done.has(key));
            assert.deepEqual([...new Set([...left, ...others])].sort(), []);
        });
    });

test('one more address of each list is the same list', async () => {
    const call = caller(server.apiUri, adminToken(workspaceOf(server)));
    for (const path of ['/actions', '/flows', '/data-sources', '/field-mappings', '/integrations', '/customers']) {
        const all = (await call('GET', `${path}?limit=1000&cursor=0&hash=17&unknown=x`)).body.items;
        const paged = [];
        for (let cursor = '0'; cursor; ) {
            const { body } = await call('GET', `${path}?limit=2&cursor=${encodeURIComponent(cursor)}`);
            paged.push(...body.items);
            assert.ok(body.items.length === 2 || body.cursor === undefined, 'only a full page has a cursor');
            cursor = body.cursor;
        }
        assert.deepEqual(paged.map((each) => each.id), all.map((each) => each.id), path);
    }
});
