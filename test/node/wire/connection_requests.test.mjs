// /connection-requests: a link under which a person connects an app.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as sdk from '@membranehq/sdk';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

let server, admin, customer, stranger;
before(async () => {
    server = await startServer();
    const workspace = workspaceOf(server);
    admin = caller(server.apiUri, adminToken(workspace));
    customer = caller(server.apiUri, customerToken(workspace, 'c-1'));
    stranger = caller(server.apiUri, customerToken(workspace, 'c-2'));
    await admin('POST', '/connectors', { key: 'crm', name: 'CRM', type: 'client-credentials' });
    await admin('POST', '/integrations', { key: 'crm', name: 'CRM', connectorKey: 'crm' });
});
after(() => server?.stop());

const create = async (call = customer) => {
    const { status, body, text } = await call('POST', '/connection-requests', {
        integrationKey: 'crm',
        name: 'Mine',
        connectorParameters: { clientSecret: 's3cr3t' },
        redirectUri: 'https://app.example/done',
    });
    assert.equal(status, 200, text);
    return body;
};

test('a request is made pending, with a link, and read again', async () => {
    const made = await create();
    sdk.ConnectionRequest?.parse(made);
    assert.equal(made.status, 'pending');
    assert.equal(made.url, `${server.apiUri}/screens/connections?connectionRequestId=${made.requestId}`);
    const { body, text } = await customer('GET', `/connection-requests/${made.requestId}`);
    assert.deepEqual(body, made);
    assert.ok(!text.includes('s3cr3t'));
    assert.deepEqual((await customer('PATCH', `/connection-requests/${made.requestId}`, {})).body, made);
    assert.deepEqual((await admin('GET', `/connection-requests/${made.requestId}`)).body, made);
});

test('a cancelled request stays cancelled', async () => {
    const made = await create();
    const path = `/connection-requests/${made.requestId}`;
    assert.equal((await customer('POST', `${path}/cancel`)).body.status, 'cancelled');
    assert.equal((await customer('POST', `${path}/cancel`)).body.status, 'cancelled');
    assert.equal((await customer('GET', path)).body.status, 'cancelled');
});

test('requests of others are not found', async () => {
    const path = `/connection-requests/${(await create()).requestId}`;
    for (const [method, sub] of [['GET', ''], ['PATCH', ''], ['POST', '/cancel']])
        assert.equal((await stranger(method, path + sub)).status, 404);
    assert.equal((await customer('GET', path)).body.status, 'pending');
    assert.equal((await customer('GET', '/connection-requests/none')).status, 404);
});

test('a wrong target or a wrong field is refused', async () => {
    const post = (body) => customer('POST', '/connection-requests', body);
    assert.equal((await post({ integrationKey: 'nothing' })).status, 404);
    assert.equal((await post({ connectionId: 'nothing' })).status, 404);
    for (const body of [{ name: 1 }, { redirectUri: 'javascript:alert(1)' }, { allowMultipleConnections: 'yes' }, { connectorParameters: [] }])
        assert.equal((await post(body)).status, 400, JSON.stringify(body));
    assert.equal((await admin('POST', '/connection-requests', {})).status, 400);
});
