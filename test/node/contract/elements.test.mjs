// Every core accessor of the elements, called with the unmodified SDKs; each answer is
// parsed with the SDK's own schema.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import * as sdk from '@membranehq/sdk';
import { IntegrationAppClient as OldClient } from '@integration-app/sdk';
import { startServer } from '../lib/server.mjs';

let server, admin, customer, stranger, old;

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function sign(claims) {
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ ...claims, exp })}`;
    const mac = createHmac('sha256', server.workspaceSecret).update(text).digest('base64url');
    return `${text}.${mac}`;
}
const client = (claims) =>
    new sdk.MembraneClient({
        apiUri: server.apiUri,
        token: sign({ workspaceKey: server.workspaceKey, ...claims }),
    });

before(async () => {
    server = await startServer();
    admin = client({ isAdmin: true });
    customer = client({ id: 'c-1', name: 'Jo' });
    stranger = client({ id: 'c-2', name: 'Al' });
    old = new OldClient({
        apiUri: server.apiUri,
        token: sign({ iss: server.workspaceKey, isAdmin: true }),
    });
    await admin.post('connectors', {
        key: 'crm',
        name: 'CRM',
        type: 'client-credentials',
        inputSchema: { type: 'object', properties: { apiKey: { type: 'string' } } },
    });
    await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'crm' });
});
after(() => server?.stop());

// The schema keeps every field that it knows: nothing is served in a wrong type.
function parsed(schema, value) {
    const result = schema.safeParse(value);
    assert.ok(result.success, `${JSON.stringify(value)}\n${result.error}`);
    return value;
}
const page = (schema, value) => {
    assert.ok(Array.isArray(value.items));
    value.items.forEach((item) => parsed(schema, item));
    return value;
};
const rejects = (promise, key, type = 'bad_request') =>
    assert.rejects(promise, (error) => {
        assert.ok(error.isMembraneError, String(error));
        assert.equal(error.data.type, type);
        if (key) assert.equal(error.data.key, key);
        return true;
    });

let connection;
async function connected() {
    connection ??= await customer.connections.create({
        integrationKey: 'crm',
        name: 'Mine',
        input: { apiKey: 'k' },
        credentials: { apiKey: 'k' },
    });
    return connection;
}

// What a type is called by the SDK, and a body that makes one.
const types = {
    action: {
        many: 'actions',
        schema: sdk.ActionApiResponse,
        body: { type: 'http-request', config: { request: { uri: 'https://x.example/' } } },
        change: { config: { request: { uri: 'https://y.example/' } } },
        layered: true,
    },
    flow: {
        many: 'flows',
        schema: sdk.FlowApiResponse,
        body: { nodes: { start: { type: 'api-trigger', links: [] } } },
        change: { nodes: { start: { type: 'api-trigger', name: 'Go', links: [] } } },
        layered: true,
    },
    dataSource: {
        many: 'dataSources',
        schema: sdk.DataSourceApiResponse,
        body: { udm: 'contacts' },
        change: { collectionKey: 'people' },
        layered: true,
        setup: true,
    },
    fieldMapping: {
        many: 'fieldMappings',
        schema: sdk.FieldMappingApiResponse,
        body: { direction: 'both', importValue: { $var: '$.record' } },
        change: { importValue: { a: { $var: '$.b' } } },
        layered: true,
        setup: true,
    },
    dataLinkTable: {
        many: 'dataLinkTables',
        schema: sdk.DataLinkTableApiResponse,
        body: {},
        change: { description: 'pairs' },
    },
    appDataSchema: {
        many: 'appDataSchemas',
        schema: sdk.AppDataSchemaApiResponse,
        body: { schema: { type: 'object' } },
        change: { schema: { type: 'object', properties: {} } },
    },
    appEventType: {
        many: 'appEventTypes',
        schema: sdk.AppEventTypeApiResponse,
        body: { schema: { type: 'object' } },
        change: { example: { a: 1 } },
    },
    package: {
        many: 'packages',
        schema: sdk.PackageApiResponse,
        body: {},
        change: { description: 'all' },
    },
    screen: {
        many: 'screens',
        schema: sdk.ScreenApiResponse,
        body: { type: 'integration', blocks: [{ type: 'flow' }] },
        change: { blocks: [] },
    },
    integration: {
        many: 'integrations',
        schema: sdk.IntegrationApiResponse,
        body: { connectorKey: 'crm' },
        change: { description: 'theirs' },
    },
};

for (const [one, type] of Object.entries(types))
    test(`${one}: create, find, get, put, patch, archive, restore`, async () => {
        const key = `first ${one}`;
        const made = parsed(type.schema, await admin[type.many].create({ key, name: 'First', ...type.body }));
        assert.equal(made.key, key);
        const again = parsed(type.schema, await admin[one](made.id).get());
        assert.equal(again.id, made.id);
        assert.equal((await admin[one](key).get()).id, made.id);
        page(type.schema, await admin[type.many].find({ limit: 5 }));
        const all = await admin[type.many].findAll();
        assert.ok(all.some((each) => each.id === made.id));

        // React sends the whole element back
        const put = parsed(type.schema, await admin[one](key).put({ ...again, name: 'Second' }));
        assert.equal(put.name, 'Second');
        assert.equal(put.id, made.id);
        const patched = parsed(type.schema, await admin[one](key).patch(type.change));
        for (const [field, value] of Object.entries(type.change))
            assert.deepEqual(patched[field], value);
        assert.equal(patched.name, 'Second');
        if (made.revision) assert.notEqual(patched.revision, made.revision);

        await admin[one](key).archive();
        const archived = parsed(type.schema, await admin[one](made.id).get());
        if (one !== 'screen') assert.ok(archived.archivedAt);
        assert.ok(!(await admin[type.many].findAll()).some((each) => each.id === made.id));
        await rejects(admin[one](made.id).patch({ name: 'Third' }));
        const restored = parsed(type.schema, await admin[one](made.id).restore());
        assert.equal(restored.archivedAt, undefined);
        await rejects(admin[type.many].create({ key, name: 'First', ...type.body }), 'already_exists');
        await rejects(admin[one]('no such').get(), 'not_found');
        await rejects(customer[one](key).patch({ name: 'No' }), 'access_denied');
        if (type.setup) await admin[one](key).setup(); // the client of data sources drops the answer
        if (type.layered && one !== 'screen') parsed(type.schema, await admin[one](key).reset());
    });

for (const [one, type] of Object.entries(types).filter(([, t]) => t.layered))
    describe(`${one} on the lower layers`, () => {
        const key = `layered ${one}`;
        let universal;
        before(async () => {
            universal = await admin[type.many].create({ key, name: 'L', ...type.body });
        });

        test('object selectors', async () => {
            assert.equal((await admin[one]({ key }).get()).id, universal.id);
            assert.equal((await admin[one]({ id: universal.id }).get()).id, universal.id);
            await admin[one]({ key }).patch({ description: 'd' });
            await rejects(admin[one]({ key: 'no such' }).get(), 'not_found');
        });

        test('integration level', async () => {
            const level = admin.integration('crm');
            assert.equal((await level[one](key).get()).id, universal.id);
            const own = parsed(type.schema, await level[one](key).patch(type.change));
            assert.equal(own.isCustomized, true);
            assert.equal(own.integration.key, 'crm');
            assert.ok(own.id !== universal.id);
            page(type.schema, await level[type.many].list());
            assert.equal((await level[one](key).get()).id, own.id);
            const reset = parsed(type.schema, await level[one](key).reset());
            assert.equal(reset.isCustomized, false);
            const made = parsed(
                type.schema,
                await level[type.many].create({ key: `own ${one}`, name: 'O', ...type.body }),
            );
            parsed(type.schema, await level[one](made.id).put({ ...made, name: 'P' }));
            await level[one](made.id).archive();
            assert.equal((await admin[one]({ key, integrationKey: 'crm' }).get()).id, own.id);
        });

        test('connection level', async () => {
            const { id } = await connected();
            const level = customer.connection(id);
            await rejects(level[one](key).get(), 'not_found');
            const own = parsed(type.schema, await level[one](key).create());
            assert.equal(own.connectionId, id);
            assert.ok(own.userId);
            assert.equal((await level[one](key).get()).id, own.id);
            assert.equal((await level[one](key).get({ autoCreate: true })).id, own.id);
            const second = await level[one](key, { instanceKey: 'two' }).create();
            assert.notEqual(second.id, own.id);
            const listed = page(type.schema, await level[type.many].list());
            assert.ok(listed.items.length >= 2);
            const changed = parsed(type.schema, await level[one](key).patch(type.change));
            assert.equal(changed.isCustomized, true);
            parsed(type.schema, await level[one](key).put({ ...changed, name: 'Mine' }));
            parsed(type.schema, await level[one](key).setup());
            const reset = parsed(type.schema, await level[one](key).reset());
            assert.equal(reset.isCustomized, false);
            await level[one](key, { instanceKey: 'two' }).archive();
            await rejects(stranger.connection(id)[one](key).get(), 'not_found');
            if (one === 'flow') {
                assert.equal((await level.flow(key).enable())?.enabled ?? true, true);
                assert.equal((await level.flow(key).get()).enabled, true);
                await level.flow(key).disable();
                assert.equal((await level.flow(key).get()).enabled, false);
            }
        });

        test('instances', async () => {
            const { id } = await connected();
            const accessor = `${one}Instance`;
            const parentKey = { action: 'parentKey' }[one] ?? `${one}Key`;
            const selector = { [parentKey]: key, connectionId: id, instanceKey: 'inst' };
            await rejects(customer[accessor](selector).get(), 'not_found');
            const made = parsed(type.schema, await customer[accessor](selector).create());
            assert.equal((await customer[accessor](selector).get()).id, made.id);
            assert.equal((await customer[accessor](made.id).get()).id, made.id);
            assert.equal((await customer[accessor]({ ...selector, instanceKey: 'x', autoCreate: true }).get()).instanceKey, 'x');
            parsed(type.schema, await customer[accessor](selector).patch({ name: 'New' }));
            parsed(type.schema, await customer[accessor](selector).put({ ...made, name: 'Newer' }));
            await customer[accessor](selector).setup();
            await customer[accessor](selector).reset();
            page(type.schema, await customer[`${accessor}s`].find());
            assert.equal((await stranger[`${accessor}s`].find()).items.length, 0);
            await rejects(stranger[accessor](made.id).get(), 'not_found');
            await customer[accessor](selector).archive();
            parsed(type.schema, await customer[accessor](made.id).restore());
            if (one === 'flow') {
                await customer.flowInstance(selector).enable?.();
                await customer.flowInstance(selector).reset({ allNodes: true });
            }
        });

        test('apply of the older client', async () => {
            const copies = await old[one](key).apply(['crm']);
            assert.ok(Array.isArray(copies));
            parsed(type.schema, copies[0]);
            await old[one]({ key }).apply(['crm']);
        });

        test('clone and export', async () => {
            const path = { dataSource: 'data-sources', fieldMapping: 'field-mappings' }[one] ?? `${one}s`;
            const copy = parsed(type.schema, await admin.post(`${path}/${universal.id}/clone`));
            assert.notEqual(copy.id, universal.id);
            const exported = await admin.get(`${path}/${universal.id}/export`);
            assert.equal(exported.uuid, universal.uuid);
            assert.equal(exported.id, undefined);
        });
    });

test('field mappings give the schema of the host application', async () => {
    await admin.fieldMappings.create({ key: 'schemed', name: 'S', appSchema: { type: 'object' } });
    assert.deepEqual(await admin.fieldMapping('schemed').getAppSchema(), { type: 'object' });
});

test('data link tables of a connection hold links', async () => {
    const { id } = await connected();
    await admin.dataLinkTables.create({ key: 'contacts', name: 'Contacts' });
    const table = customer.dataLinkTableInstance({ dataLinkTableKey: 'contacts', connectionId: id });
    const made = parsed(sdk.DataLinkTableInstanceApiResponse, await table.create());
    assert.equal(made.dataLinkTable.key, 'contacts');
    parsed(sdk.DataLinkTableInstanceApiResponse, await table.get());
    parsed(sdk.DataLink, await table.createLink({ appRecordId: 'a', externalRecordId: 'e', direction: 'import' }));
    await table.createLink({ appRecordId: 'a', externalRecordId: 'e' });
    page(sdk.DataLink, await table.findLinks({ externalRecordId: 'e' }));
    assert.equal((await table.findLinks({})).items.length, 2);
    await table.deleteLink({ appRecordId: 'a', externalRecordId: 'e', direction: 'export' });
    assert.equal((await table.findLinks({})).items.length, 1);
    page(sdk.DataLinkTableInstanceApiResponse, await customer.dataLinkTableInstances.find({ connectionId: id }));
    await table.patch({});
    await table.archive();
    await table.restore();
});

test('app data schemas per customer', async () => {
    await admin.appDataSchemas.create({ key: 'contact', name: 'Contact', schema: { type: 'object' } });
    const own = customer.appDataSchemaInstance({ appDataSchemaKey: 'contact', autoCreate: true });
    const made = parsed(sdk.AppDataSchemaInstanceApiResponse, await own.get());
    assert.deepEqual(made.schema, { type: 'object' });
    await own.setup();
    await own.patch({});
    page(sdk.AppDataSchemaInstanceApiResponse, await customer.appDataSchemaInstances.find());
    assert.equal((await stranger.appDataSchemaInstances.find()).items.length, 0);
    await own.archive();
    await own.restore();
});

test('app event subscriptions per customer', async () => {
    await admin.appEventTypes.create({ key: 'placed', name: 'Placed', schema: { type: 'object' } });
    const own = customer.appEventSubscription({ appEventTypeKey: 'placed', autoCreate: true });
    const made = parsed(sdk.AppEventSubscriptionApiResponse, await own.get());
    assert.equal(made.isSubscribed, false);
    assert.ok(made.webhookUri.startsWith(server.apiUri));
    await own.subscribe();
    assert.equal((await own.get()).isSubscribed, true);
    page(sdk.AppEventSubscriptionApiResponse, await customer.appEventSubscriptions.find());
    await own.archive();
    await own.restore();
});

test('integrations show the connection of the customer who asks', async () => {
    const { id } = await connected();
    const mine = parsed(sdk.IntegrationApiResponse, await customer.integration('crm').get());
    assert.equal(mine.connection.id, id);
    assert.ok(mine.authOptions.length > 0);
    assert.equal((await stranger.integration('crm').get()).connection, undefined);
    parsed(sdk.IntegrationApiResponse, await admin.integration('crm').setup());
});

test('an export goes in again without a change, and the SDK sees none', async () => {
    const headers = { authorization: `Bearer ${admin.token ?? sign({ workspaceKey: server.workspaceKey, isAdmin: true })}`, accept: 'application/json' };
    const exported = await (await fetch(`${server.apiUri}/export`, { headers })).json();
    for (const [type, name] of Object.entries({
        integration: 'Integration', action: 'Action', flow: 'Flow', 'data-source': 'DataSource',
        'field-mapping': 'FieldMapping', 'app-data-schema': 'AppDataSchema',
        'app-event-type': 'AppEventType', 'data-link-table': 'DataLinkTable', package: 'Package',
    }))
        for (const element of exported[type]) parsed(sdk[`${name}ExportProperties`], element);
    const result = await admin.post('import', exported);
    assert.deepEqual([result.created, result.updated, result.archived], [0, 0, 0]);
    const again = await (await fetch(`${server.apiUri}/export`, { headers })).json();
    const compared = sdk.compareWorkspaceExports(exported, again);
    assert.deepEqual(compared.changes, {});
});

const bearer = (claims) => ({
    authorization: `Bearer ${sign({ workspaceKey: server.workspaceKey, ...claims })}`,
});

test('an export is a finished job, and its zip goes in again', async () => {
    const headers = bearer({ isAdmin: true });
    const job = await (await fetch(`${server.apiUri}/export`, { headers })).json();
    const state = await (await fetch(job.backgroundJobUrl)).json();
    assert.equal(state.status, 'completed');
    const zip = await (await fetch(state.result.downloadUrl)).blob();
    const form = new FormData();
    form.append('file', zip, 'workspace.zip');
    form.append('dryRun', 'true');
    const answer = await fetch(`${server.apiUri}/import`, { method: 'POST', headers, body: form });
    const result = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(result));
    assert.equal(result.dryRun, true);
    assert.deepEqual([result.created, result.updated, result.archived], [0, 0, 0]);
    assert.ok(result.unchanged > 10);
    for (const path of ['/export', '/background-jobs/x:y']) {
        const refused = await fetch(server.apiUri + path, { headers: bearer({ id: 'c-1' }) });
        assert.ok([403, 404].includes(refused.status));
    }
});

test('many change one element at the same time, and no change is lost', async () => {
    const { id } = await admin.actions.create({ key: 'busy', name: 'Busy', meta: {} });
    const fields = ['name', 'description', 'outputMapping', 'inputSchema', 'config', 'meta'];
    const value = (field, n) => (['name', 'description'].includes(field) ? `${field} ${n}` : { n });
    const answers = await Promise.allSettled(
        fields.map((field) => admin.action(id).patch({ [field]: value(field, 1) })),
    );
    answers.forEach((answer) => assert.equal(answer.status, 'fulfilled', String(answer.reason)));
    const after = await admin.action(id).get();
    fields.forEach((field) => assert.deepEqual(after[field], value(field, 1)));
});

test('the first uses of an instance at the same time make one', async () => {
    const connected_ = await connected();
    await admin.actions.create({ key: 'raced', name: 'Raced', type: 'http-request' });
    const ids = await Promise.all(
        Array.from({ length: 8 }, () =>
            customer.connection(connected_.id).action('raced').get({ autoCreate: true }),
        ),
    );
    assert.equal(new Set(ids.map((each) => each.id)).size, 1);
});

test('checkpoints keep what an element was; one sent back undoes', async () => {
    const of = async (id) => (await admin.get('checkpoints', { elementType: 'action', elementId: id })).items;
    const made = await admin.actions.create({ key: 'kept', name: 'One', type: 'http-request', config: { request: { uri: 'https://a.example/' } } });
    assert.deepEqual(await of(made.id), []);
    await admin.action(made.id).patch({ name: 'Two' });
    await admin.action(made.id).patch({ config: { request: { uri: 'https://b.example/', 'odd name': [1, 2] } } });
    await admin.action(made.id).patch({ name: 'Two' }); // nothing new
    const list = await of(made.id);
    list.forEach((each) => parsed(sdk.CheckpointApiResponse, each));
    assert.deepEqual(list.map((each) => each.checkpointNumber), [3, 2, 1]);
    assert.deepEqual(list.map((each) => each.snapshot.name), ['Two', 'Two', 'One']);
    parsed(sdk.CheckpointApiResponse, await admin.get(`checkpoints/${list[0].id}`));
    const diff = parsed(sdk.CheckpointDiffResponseSchema, await admin.get(`checkpoints/${list[0].id}/diff`));
    assert.deepEqual(diff, [
        { op: 'replace', path: 'config.request.uri', value: 'https://b.example/', oldValue: 'https://a.example/' },
        { op: 'add', path: 'config.request["odd name"]', value: [1, 2] },
    ]);
    const undone = await admin.action(made.id).put(list[2].snapshot);
    for (const field of ['name', 'key', 'uuid', 'type', 'config']) assert.deepEqual(undone[field], made[field]);
    assert.equal((await of(made.id)).length, 4);
    await rejects(customer.get(`checkpoints/${list[0].id}`), 'access_denied');
    await rejects(admin.get('checkpoints/none'), 'not_found');

    // what follows from a parent's change is kept for the copy, too; instances have none
    const [copy] = await old.action(made.id).apply(['crm']);
    await admin.action(made.id).patch({ description: 'new' });
    assert.equal((await of(copy.id))[0].snapshot.description, 'new');
    const own = await customer.connection((await connected()).id).action('kept').create();
    await customer.connection((await connected()).id).action('kept').patch({ name: 'Mine' });
    assert.deepEqual(await of(own.id), []);
});

test('only the newest 100 checkpoints are kept, and none holds a secret', async () => {
    await admin.integrations.create({ key: 'kept', name: 'K', connectorKey: 'crm', parameters: { key: 'walrus' } });
    const { id } = await admin.integration('kept').get();
    for (let n = 0; n < 103; n++)
        await admin.integration('kept').patch({ description: `${n}`, optionsConfig: { a: { parameters: { key: 'walrus' } } } });
    const list = (await admin.get('checkpoints', { elementType: 'integration', elementId: id, limit: 1000 })).items;
    assert.equal(list.length, 100);
    assert.deepEqual([list[0].checkpointNumber, list[99].checkpointNumber], [104, 5]);
    assert.equal(list[0].snapshot.description, '102');
    assert.deepEqual(list[0].snapshot.optionsConfig, { a: {} });
    assert.ok(!JSON.stringify(list).includes('walrus'));
});
