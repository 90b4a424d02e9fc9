// Nodes of flows that work on data records and data links, on a scripted CRM.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { startCrm, uploadCrm } from '../lib/crm.mjs';
import { runCommand, startServer, until } from '../lib/server.mjs';

let server, admin, customer, app;

async function client(...args) {
    const r = await runCommand(['token', ...args], {
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    return new sdk.MembraneClient({ token: r.stdout.trim(), apiUri: server.apiUri });
}

const search = `path: /people
method: get
requestMapping: {query: {mail: {$var: $.query}}}
responseMapping: {records: {$var: $.response.data.items}, cursor: {$var: $.response.data.next}}
`;
const match = `path: /people
method: get
requestMapping: {query: {mail: {$var: $.query.email}}}
responseMapping: {record: {$var: '$.response.data.items[0]'}}
`;

before(async () => {
    [app, server] = await Promise.all([startCrm(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    await uploadCrm(server, app, { 'data/people/search.rest.yml': search, 'data/people/match.rest.yml': match });
    [admin, customer] = await Promise.all([client('--admin'), client('--customer', 'ada')]);
    await admin.integrations.create({ key: 'crm', name: 'CRM', connectorKey: 'crm' });
    await admin.dataSources.create({ key: 'people', name: 'People', integrationKey: 'crm', collectionKey: 'people' });
    await admin.dataLinkTables.create({ key: 'contacts', name: 'Contacts', integrationKey: 'crm' });
    await admin.fieldMappings.create({
        key: 'mapped',
        name: 'Mapped',
        integrationKey: 'crm',
        importValue: { who: { $var: '$.firstName' }, contact: { $findAppRecordId: { dataLinkTable: { key: 'contacts' }, recordId: { $var: '$.gid' } } } },
    });
    await customer.connections.create({ integrationKey: 'crm', input: {} });
});
beforeEach(() => app.reset());
after(async () => {
    app?.stop();
    await server?.stop();
});

let n = 0;
// Runs one node behind a trigger; gives {run, output, outputs}.
async function runNode(type, config, input, more = {}) {
    const key = `flow-${++n}`;
    const nodes = { start: { type: 'api-trigger', links: [{ key: 'it' }] }, it: { type, config, ...more } };
    await admin.flows.create({ key, name: key, integrationKey: 'crm', nodes });
    const { id } = await customer.flowInstance({ flowKey: key, integrationKey: 'crm', autoCreate: true }).startRun({ input });
    const run = await until(async () => {
        const now = await customer.flowRun(id).get();
        return ['completed', 'failed'].includes(now.state) && now;
    }, 'the end of the run');
    if (run.state === 'failed') throw new Error(JSON.stringify(run.errors));
    const { items } = await customer.flowRun(run.id).getNodeOutputs('it');
    return { run, output: items.length ? await customer.flowRun(run.id).getOutput() : undefined, count: items.length };
}
const dataSource = { key: 'people' };
const given = (path) => ({ $var: `$.input.start.${path}` });

test('list-data-records gives the records of all pages as one output', async () => {
    const { output, count } = await runNode('list-data-records', { dataSource });
    assert.equal(count, 1);
    assert.deepEqual(output.map((r) => r.id), ['1', '2', '3']);
    assert.equal(output[0].name, 'Ada Lovelace');
    assert.equal(output[0].fields.email, 'ada@x.org');
    assert.equal(output[0].unifiedFields.primaryEmail, 'ada@x.org');
    assert.deepEqual(app.asked.map((r) => r.query.page), [undefined, '2']);
    const filtered = await runNode('list-data-records', { dataSource, filter: { lastName: given('last') } }, { last: 'Byte' });
    assert.deepEqual(filtered.output.map((r) => r.id), ['2', '3']);
});

test('find-data-records is a list, or with a query a search', async () => {
    const listed = await runNode('find-data-records', { dataSource });
    assert.equal(listed.output.length, 3);
    const found = await runNode('find-data-records', { dataSource, query: 'bob@x.org' });
    assert.deepEqual(found.output.map((r) => r.id), ['2']);
});

test('search-data-records gives the first page', async () => {
    const { output } = await runNode('search-data-records', { dataSource, query: given('mail') }, { mail: 'cy@x.org' });
    assert.deepEqual(output.map((r) => r.name), ['Cy Byte']);
});

test('lookup-data-record gives the record that matches, or null', async () => {
    const found = await runNode('lookup-data-record', { dataSource, query: { email: given('mail') } }, { mail: 'bob@x.org' });
    assert.equal(found.output.id, '2');
    const none = await runNode('lookup-data-record', { dataSource, lookupFields: { email: 'nobody@x.org' } });
    assert.equal(none.output, null);
    assert.equal(none.count, 1);
});

test('find-data-record-by-id maps the record with the field mapping', async () => {
    const { output } = await runNode('find-data-record-by-id', {
        dataSource, id: given('id'), fieldMapping: { key: 'mapped', includeRawFields: true },
    }, { id: 1 });
    assert.equal(output.id, '1');
    assert.deepEqual(output.fields, { who: 'Ada' });
    assert.equal(output.rawFields.firstName, 'Ada');
    await assert.rejects(runNode('find-data-record-by-id', { dataSource, id: '99' }), /no such row|not found|404/i);
});

test('create, update, delete and find-or-create change the app', async () => {
    const fields = (email, firstName) => ({ defaultValue: { email, firstName } });
    const made = await runNode('create-data-record', { dataSource, fieldMapping: fields(given('mail'), 'Dee') }, { mail: 'dee@x.org' });
    assert.equal(made.output.id, '4');
    assert.equal(app.state.people.at(-1).mail, 'dee@x.org');
    const changed = await runNode('update-data-record', { dataSource, id: '4', fieldMapping: { defaultValue: { firstName: 'Dora' } } });
    assert.equal(changed.output.id, '4');
    assert.equal(app.state.people.at(-1).first_name, 'Dora');
    const createData = { email: 'eve@x.org', firstName: 'Eve' };
    const first = await runNode('find-or-create-data-record', { dataSource, lookupFields: ['email'], createData });
    const second = await runNode('find-or-create-data-record', { dataSource, lookupFields: ['email'], createData });
    assert.equal(first.output.id, '5');
    assert.equal(second.output.id, '5');
    const gone = await runNode('delete-data-record', { dataSource, id: '4' });
    assert.equal(gone.output.id, '4');
    assert.deepEqual(app.state.people.map((p) => p.gid), [1, 2, 3, 5]);
});

test('a data source that is not there fails the run with its name', async () => {
    await assert.rejects(runNode('list-data-records', { dataSource: { key: 'absent' } }), /absent/);
    await assert.rejects(runNode('create-data-record', {}), /dataSource/);
});

test('data links are made, found, overwritten and removed; mappings see them', async () => {
    const dataLinkTable = { key: 'contacts' };
    const pair = { dataLinkTable, externalRecordId: given('external'), appRecordId: given('app') };
    const none = await runNode('find-data-link', { dataLinkTable, externalRecordId: '1' });
    assert.equal(none.output, null);
    const made = await runNode('create-data-link', pair, { external: 1, app: 'c-1' });
    assert.equal(made.output.externalRecordId, '1');
    assert.equal(made.output.appRecordId, 'c-1');
    sdk.DataLink?.parse?.(made.output);
    const found = await runNode('find-data-link', { dataLinkTable, appRecordId: 'c-1', direction: 'export' });
    assert.equal(found.output.externalRecordId, '1');
    const record = await runNode('find-data-record-by-id', { dataSource, id: '1', fieldMapping: { key: 'mapped' } });
    assert.deepEqual(record.output.fields, { who: 'Ada', contact: 'c-1' });
    const mapped = await runNode('transform-data', { output: { $findExternalRecordId: { dataLinkTable, recordId: 'c-1' } } });
    assert.equal(mapped.output, '1');

    await runNode('create-data-link', { ...pair, direction: 'import' }, { external: 1, app: 'c-2' });
    const over = await runNode('find-data-link', { dataLinkTable, externalRecordId: '1', direction: 'import' });
    assert.equal(over.output.appRecordId, 'c-2');
    await runNode('delete-data-link', pair, { external: 1, app: 'c-1' });
    await runNode('delete-data-link', pair, { external: 1, app: 'c-2' });
    const gone = await runNode('find-data-link', { dataLinkTable, externalRecordId: '1' });
    assert.equal(gone.output, null);
    await assert.rejects(runNode('create-data-link', { dataLinkTable, externalRecordId: '1' }), /appRecordId/);
    await assert.rejects(runNode('create-data-link', { ...pair, direction: 'sideways' }, { external: 1, app: 2 }), /direction/);
    await assert.rejects(runNode('create-data-link', { externalRecordId: '1', appRecordId: '2' }), /dataLinkTable/);
});
