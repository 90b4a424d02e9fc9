// Data collections on a scripted application: methods, conversions, filters, fallbacks,
// unified models, data sources and data-record actions, through the SDK's accessors.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { startCrm, uploadCrm } from '../lib/crm.mjs';
import { runCommand, startServer } from '../lib/server.mjs';

let server, admin, customer, other, app, connection;

async function client(...args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    return new sdk.MembraneClient({ token: r.stdout.trim(), apiUri: server.apiUri });
}
const failure = (promise) =>
    promise.then(
        () => assert.fail('the call succeeded'),
        (error) => error,
    );

before(async () => {
    [app, server] = await Promise.all([startCrm(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    await uploadCrm(server, app);
    [admin, customer, other] = await Promise.all([client('--admin'), client('--customer', 'ada'), client('--customer', 'bob')]);
    await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'crm' });
    connection = await customer.connections.create({ integrationKey: 'crm', input: {} });
});
beforeEach(() => app.reset());
after(async () => {
    app?.stop();
    await server?.stop();
});

const people = (parameters) => customer.connection('crm').dataCollection('people', parameters);
const notes = () => customer.connection(connection.id).dataCollection('notes');

test('the specification says which methods there are', async () => {
    const spec = sdk.DataCollectionSpec.parse(await people().get());
    assert.deepEqual(spec.list.filterFields, ['email']);
    assert.deepEqual(spec.create.requiredFields, ['email']);
    assert.equal(spec.match, undefined);
    assert.equal(spec.search, undefined);
});

test('records are listed in pages, in the served shape, with unified fields', async () => {
    const first = sdk.DataCollectionListResponse.parse(await people().list());
    assert.equal(first.cursor, '2');
    assert.deepEqual(first.records[0], {
        id: '1',
        name: 'Ada Lovelace',
        createdTime: '2026-01-01T00:00:00Z',
        fields: {
            gid: 1, firstName: 'Ada', lastName: 'Lovelace', email: 'ada@x.org', team: 'a', made: '2026-01-01T00:00:00Z',
        },
        udm: 'contacts',
        unifiedFields: {
            firstName: 'Ada', lastName: 'Lovelace', primaryEmail: 'ada@x.org', fullName: 'Ada Lovelace',
            emails: first.records[0].unifiedFields.emails,
        },
    });
    const second = sdk.DataCollectionListResponse.parse(await people().list({ cursor: first.cursor }));
    assert.deepEqual(second.records.map((r) => r.id), ['3']);
    assert.equal(second.cursor, undefined);
});

test('parameters come from the query or the body and are checked', async () => {
    await people({ team: 'q', size: 5 }).list();
    assert.equal(app.asked.at(-1).query.team, 'q');
    await people({ team: 'q' }).list({ parameters: { team: 'b' } });
    assert.equal(app.asked.at(-1).query.team, 'b');
    const error = await failure(people({ size: 'big' }).list());
    assert.equal(error.data.type, 'bad_request');
    assert.match(error.message, /size/);
    const all = sdk.DataCollectionListResponse.parse(await people({ team: 'all' }).list());
    assert.deepEqual(all.drilldowns, [{ parameters: { team: 'x' } }]);
});

test('the app filters by the fields that it declares, the server by the others', async () => {
    const native = await people().list({ filter: { email: 'cy@x.org' } });
    assert.equal(app.asked.at(-1).query.mail, 'cy@x.org');
    assert.deepEqual(native.records.map((r) => r.id), ['3']);
    const own = await people().list({ filter: { lastName: 'Byte' } });
    assert.equal(app.asked.at(-1).query.mail, undefined);
    assert.deepEqual(own.records.map((r) => r.id), ['2']);
    assert.equal(own.cursor, '2', 'a filtered page does not end the list');
    const unified = await people().list({ unifiedFilter: { primaryEmail: 'bob@x.org' } });
    assert.equal(app.asked.at(-1).query.mail, 'bob@x.org');
    assert.deepEqual(unified.records.map((r) => r.id), ['2']);
    const after_ = await people().list({ unifiedFilter: { fullName: 'Ada Lovelace' } });
    assert.deepEqual(after_.records.map((r) => r.id), ['1']);
    assert.equal((await failure(people().list({ filter: 'x' }))).data.type, 'bad_request');
});

test('a record is found by its id, in the app or in its list', async () => {
    const { record } = sdk.DataCollectionFindByIdResponse.parse(await people().findById({ id: '2' }));
    assert.equal(record.name, 'Bob Byte');
    assert.equal((await failure(people().findById({ id: '9' }))).data.key, 'not_found');
    assert.equal((await notes().findById({ id: 'n250' })).record.fields.text, 'note 250');
    const late = await failure(notes().findById({ id: 'n1400' }));
    assert.match(late.message, /too many records/);
    app.state.notes.length = 200;
    assert.equal((await failure(notes().findById({ id: 'n400' }))).data.key, 'not_found');
    assert.equal((await failure(people().findById({}))).data.type, 'bad_request');
});

test('match is made of list, over pages, and no result is an empty answer', async () => {
    const byMail = sdk.DataCollectionMatchResponse.parse(await people().match({ query: { email: 'cy@x.org' } }));
    assert.equal(byMail.record.id, '3');
    assert.equal(app.asked.length, 1);
    const scanned = await people().match({ query: { firstName: 'Cy', lastName: 'Byte' } });
    assert.equal(scanned.record.id, '3');
    assert.deepEqual(await people().match({ query: { firstName: 'Nobody' } }), {});
});

test('create keeps what can be written and asks for what must be there', async () => {
    const { id } = sdk.DataCollectionCreateResponse.parse(
        await people().create({ fields: { gid: 77, firstName: 'Di', email: 'di@x.org', secret: 's', unknown: 1 } }),
    );
    assert.equal(id, '4');
    assert.deepEqual(app.asked.at(-1).body, { first_name: 'Di', mail: 'di@x.org' });
    const error = await failure(people().create({ fields: { firstName: 'Ed' } }));
    assert.equal(error.data.type, 'bad_request');
    assert.deepEqual(error.data.data.missingFields, ['email']);
    assert.equal(app.state.people.length, 4);
});

test('update and delete', async () => {
    assert.deepEqual(await people().update({ id: '2', fields: { lastName: 'Bit', email: 'no@x.org' } }), { id: '2' });
    assert.deepEqual(app.asked.at(-1).body, { last_name: 'Bit' });
    await people().delete({ id: '2' });
    assert.deepEqual(app.state.people.map((p) => p.gid), [1, 3]);
});

test('what a collection cannot do, and what is not there, is said', async () => {
    const error = await failure(people().search({ query: 'a' }));
    assert.equal(error.data.type, 'bad_request');
    assert.match(error.message, /does not support search/);
    assert.match((await failure(notes().create({ fields: {} }))).message, /does not support create/);
    assert.equal((await failure(customer.connection('crm').dataCollection('nope').list())).data.key, 'not_found');
    assert.equal((await failure(customer.post(`connections/${connection.id}/data/people/explode`, {}))).data.key, 'not_found');
    assert.equal((await failure(other.connection(connection.id).dataCollection('people').list())).data.key, 'not_found');
});

// ---- data sources, field mappings, actions ----

const source = (selector = {}) =>
    customer.dataSourceInstance({ dataSourceKey: 'contacts', integrationKey: 'crm', autoCreate: true, ...selector });

async function run(type, config, input, extra = {}) {
    const key = `a-${Math.random().toString(36).slice(2)}`;
    const action = await admin.actions.create({ key, name: key, type, integrationKey: 'crm', config, ...extra });
    assert.equal(action.state, 'READY', JSON.stringify(action.errors));
    return (await customer.action({ key, integrationKey: 'crm' }).run(input)).output;
}

test('a data source leads to the collection of its unified model, and its instance has the methods', async () => {
    await admin.dataSources.create({ key: 'contacts', name: 'Contacts', integrationKey: 'crm', udm: 'contacts' });
    assert.equal((await source().getCollection()).key, 'people');
    const list = sdk.DataCollectionListResponse.parse(await source().listRecords());
    assert.deepEqual(list.records.map((r) => r.id), ['1', '2']);
    assert.equal((await source().findRecordById({ id: '3' })).record.unifiedFields.primaryEmail, 'cy@x.org');
    assert.equal((await source().matchRecord({ query: { email: 'bob@x.org' } })).record.id, '2');
    const { id } = await source().createRecord({ fields: { firstName: 'Di', email: 'di@x.org' } });
    assert.deepEqual(await source().updateRecord({ id, fields: { lastName: 'Do' } }), { id });
    await source().deleteRecord({ id });
    assert.equal(app.state.people.length, 3);
    assert.deepEqual(await source().unifiedFieldsToNative({ fullName: 'Ed Gar', primaryEmail: 'e@x.org' }), {
        firstName: 'Ed', lastName: 'Gar', email: 'e@x.org', team: 'a',
    });
    await source().patch({ collectionKey: 'notes' });
    assert.equal((await source().listRecords()).records[0].id, 'n0');
    await source().archive();
});

test('actions read records through a data source: unified fields without a mapping', async () => {
    const dataSource = { key: 'contacts' };
    const list = await run('list-data-records', { dataSource, cursor: { $var: '$.input.cursor' } }, { cursor: '2' });
    assert.equal(list.records[0].fields.primaryEmail, 'cy@x.org');
    assert.equal(list.cursor, undefined);
    const found = await run('find-data-record-by-id', { dataSource: { collectionKey: 'people' }, id: { $var: '$.input.id' } }, { id: '1' });
    assert.equal(found.fields.email, 'ada@x.org');
    const match = (mail) => run('match-data-record', { dataSource, query: { email: { $var: '$.input.mail' } } }, { mail });
    assert.equal((await match('bob@x.org')).id, '2');
    assert.equal(await match('nobody@x.org'), undefined);
    const filtered = await run('list-data-records', { dataSource: { udm: 'contacts' }, unifiedFilter: { lastName: 'Byte' } }, {});
    assert.deepEqual(filtered.records.map((r) => r.id), ['2']);
});

test('a field mapping leads both ways, and its run endpoint shows how', async () => {
    await admin.fieldMappings.create({
        key: 'contacts',
        name: 'Contacts',
        integrationKey: 'crm',
        dataSourceKey: 'contacts',
        direction: 'both',
        defaultImportValue: { mail: { $var: '$.email' }, label: { $var: '$.firstName' }, fixed: 'mine' },
        importValue: { label: { $var: '$.lastName' }, fixed: 'yours' },
        frozenImportFields: ['fixed'],
        defaultExportValue: { email: { $var: '$.mail' }, team: 'z' },
        exportValue: { firstName: { $var: '$.label' } },
    });
    const dataSource = { key: 'contacts' };
    const fieldMapping = { key: 'contacts', includeRawFields: true };
    const found = await run('find-data-record-by-id', { dataSource, fieldMapping, id: '1' }, {});
    assert.deepEqual(found.fields, { mail: 'ada@x.org', label: 'Lovelace', fixed: 'mine' });
    assert.equal(found.rawFields.email, 'ada@x.org');
    const made = await run('create-data-record', { dataSource, fieldMapping }, { fields: { mail: 'f@x.org', label: 'Flo' } });
    assert.deepEqual(made, { id: '4' });
    assert.deepEqual(app.asked.at(-1).body, { mail: 'f@x.org', team: 'z', first_name: 'Flo' });
    const call = (direction, input) =>
        admin.post('field-mappings/contacts/run?integrationKey=crm', { direction, input });
    assert.deepEqual((await call('import', { email: 'a@b.c', lastName: 'L' })).output, { mail: 'a@b.c', label: 'L', fixed: 'mine' });
    assert.deepEqual((await call('export', { mail: 'a@b.c' })).output, { email: 'a@b.c', team: 'z' });
    assert.equal((await failure(call('sideways', {}))).data.type, 'bad_request');
});

test('actions create, update, find or create and delete', async () => {
    const dataSource = { key: 'contacts' };
    const unified = await run(
        'create-data-record',
        { dataSource, fieldMapping: { defaultUnifiedValue: { firstName: { $var: '$.input.name' }, primaryEmail: 'g@x.org' } } },
        { name: 'Gil' },
    );
    assert.deepEqual(unified, { id: '4' });
    assert.deepEqual(app.asked.at(-1).body, { first_name: 'Gil', mail: 'g@x.org', team: 'a' });
    await run('update-data-record', { dataSource: { collectionKey: 'people' }, id: '4', fieldMapping: { defaultValue: { firstName: 'Gus' } } }, {});
    assert.equal(app.state.people[3].first_name, 'Gus');
    const either = (mail) =>
        run(
            'find-or-create-data-record',
            { dataSource: { collectionKey: 'people' }, lookupFields: ['email'], createData: { email: { $var: '$.input.mail' } } },
            { mail },
        );
    assert.deepEqual(await either('ada@x.org'), { id: '1' });
    assert.deepEqual(await either('new@x.org'), { id: '5' });
    assert.deepEqual(await either('new@x.org'), { id: '5' });
    assert.deepEqual(await run('delete-data-record', { dataSource, id: { $var: '$.input.id' } }, { id: '5' }), { id: '5' });
    assert.equal(app.state.people.length, 4);
});

test('a mapping finds the linked record of the other side', async () => {
    await admin.dataLinkTables.create({ key: 'people', name: 'People', integrationKey: 'crm' });
    const table = customer.dataLinkTableInstance({ dataLinkTableKey: 'people', integrationKey: 'crm', autoCreate: true });
    await table.createLink({ externalRecordId: '1', appRecordId: 'app-1', direction: 'import' });
    await table.createLink({ externalRecordId: '2', appRecordId: 'app-2', direction: 'both' });
    const dataSource = { collectionKey: 'people' };
    const dataLinkTable = { key: 'people' };
    const find = (id) =>
        run('find-data-record-by-id', {
            dataSource,
            id,
            fieldMapping: { importValue: { mine: { $findAppRecordId: { dataLinkTable, recordId: { $var: '$.gid' } } } } },
        }, {});
    assert.deepEqual((await find('1')).fields, { mine: 'app-1' });
    assert.deepEqual((await find('3')).fields, {});
    const send = (id) =>
        run('create-data-record', {
            dataSource,
            fieldMapping: {
                exportValue: { email: 'h@x.org', team: { $findExternalRecordId: { dataLinkTable, recordId: { $var: '$.id' } } } },
            },
        }, { id });
    await send('app-2');
    assert.equal(app.asked.at(-1).body.team, '2');
    await send('app-1');
    assert.equal(app.asked.at(-1).body.team, undefined, 'that link is for imports only');
});

test('an action says what is wrong with its data source', async () => {
    const error = await failure(run('list-data-records', {}, {}));
    assert.equal(error.data.causedByError.type, 'configuration');
    const unknown = await failure(run('list-data-records', { dataSource: { udm: 'tasks' } }, {}));
    assert.equal(unknown.data.causedByError.type, 'configuration');
    const missing = await failure(run('find-data-record-by-id', { dataSource: { collectionKey: 'people' }, id: '99' }, {}));
    assert.equal(missing.data.causedByError.key, 'not_found');
});
