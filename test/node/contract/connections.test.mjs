// Connections and actions on a scripted application: every function type, the reactions to
// answers, and what the SDK's accessors and schemas say of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import * as sdk from '@membranehq/sdk';

import { runCommand, startServer, tempDir } from '../lib/server.mjs';

let server, admin, customer, other, app, connection;

// The application: answers by path, and remembers what it was asked.
function startApp() {
    const asked = [];
    let token = 'token-1';
    const answers = {
        'POST /login': (rq) =>
            rq.body.key === 'right' ? { body: { token } } : { status: 403, body: { error: { message: 'bad key' } } },
        'GET /me': (rq) => (rq.headers['x-token'] === token ? { body: { me: 1 } } : { status: 401, body: {} }),
        'GET /echo': (rq) => ({ body: { url: rq.url, headers: rq.headers } }),
        'POST /echo': (rq) => ({ body: { url: rq.url, body: rq.body, raw: rq.raw, headers: rq.headers } }),
        'GET /fails': () => ({ status: 422, body: { errors: [{ message: 'name is taken' }] } }),
        'GET /limited': () => ({ status: 429, body: {} }),
        'GET /hidden-error': () => ({ status: 200, body: { ok: false, reason: 'no such thing' } }),
        'GET /text': () => ({ type: 'text/plain', text: 'plain' }),
        'GET /gone': () => ({ status: 410, body: { message: 'account deleted' } }),
        'GET /empty': () => ({ status: 204, text: '' }),
        'GET /secure': (rq) => (rq.headers['x-token'] === token ? { body: { secret: 42 } } : { status: 401, body: {} }),
        'POST /graphql': (rq) =>
            rq.body.query.includes('broken')
                ? { body: { errors: [{ message: 'no field broken' }] } }
                : { body: { data: { user: { name: 'Ada' } }, query: rq.body.query } },
    };
    const listener = http.createServer((request, response) => {
        let raw = '';
        request.on('data', (d) => (raw += d));
        request.on('end', () => {
            const rq = { method: request.method, url: request.url, headers: request.headers, raw };
            try {
                rq.body = JSON.parse(raw);
            } catch {}
            asked.push(rq);
            const answer = answers[`${rq.method} ${rq.url.split('?')[0]}`]?.(rq) ?? { status: 404, body: { message: 'no such path' } };
            response.writeHead(answer.status ?? 200, { 'content-type': answer.type ?? 'application/json' });
            response.end(answer.text ?? JSON.stringify(answer.body));
        });
    });
    return new Promise((done) =>
        listener.listen(0, '127.0.0.1', () =>
            done({
                uri: `http://127.0.0.1:${listener.address().port}`,
                asked,
                rotate: () => (token = `token-${Math.random()}`),
                stop: () => {
                    listener.close();
                    listener.closeAllConnections();
                },
            }),
        ),
    );
}

const files = (uri) => ({
    'spec.yml': `key: app
name: App
auth:
  type: client-credentials
  inputSchema: {type: object, properties: {key: {type: string}}, required: [key]}
`,
    'auth/make-api-client.map.yml': `baseUri: ${uri}
headers: {x-token: {$var: $.credentials.token}}
query: {v: '2'}
responseHandlers:
  - match: {$eval: {$var: $.response.data.ok}, is: false}
    isSuccess: false
    error: {key: custom_key, message: {$var: $.response.data.reason}}
  - match: {status: 410}
    isSuccess: false
    error: {key: connection_is_defunct, message: Gone for good}
`,
    'auth/get-credentials-from-connection-parameters.rest.yml':
        'path: /login\nmethod: post\nrequestMapping: {data: {key: {$var: $.connectionParameters.key}}}\nresponseMapping: {token: {$var: $.response.data.token}}\n',
    'auth/refresh-credentials.rest.yml':
        'path: /login\nmethod: post\nrequestMapping: {data: {key: {$var: $.connectionParameters.key}}}\nresponseMapping: {token: {$var: $.response.data.token}}\n',
    'auth/test.rest.yml': 'path: /me\nmethod: get\n',
    'operations/echo/run.rest.yml':
        'path: /echo\nmethod: post\nrequestMapping: {query: {a: {$var: $.input.a}, none: {$var: $.input.none}}, data: {$var: $.input}}\n',
    'operations/mapped/run.op.yml': 'operationKey: echo\ninputMapping: {a: fixed}\noutputMapping: {got: {$var: $.response.body.a}}\n',
    'operations/graph/run.graphql.yml':
        'path: /graphql\noperationType: query\nrequestMapping: [{field: user, args: {id: {$var: $.input.id}}, subFields: [{field: name}]}]\n',
    'operations/graph-broken/run.graphql.yml': 'path: /graphql\noperationType: query\nrequestMapping: [{field: broken}]\n',
    'operations/computed/run.map.yml': 'sum: {$jsonata: $.input.a + 1}\n',
});

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
    [app, server] = await Promise.all([startApp(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
    const dir = tempDir();
    for (const [path, text] of Object.entries(files(app.uri))) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const r = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    [admin, customer, other] = await Promise.all([client('--admin'), client('--customer', 'ada'), client('--customer', 'bob')]);
    await admin.integrations.create({ key: 'app', name: 'App', connectorKey: 'app' });
    connection = await customer.connections.create({ integrationKey: 'app', input: { key: 'right' } });
});
beforeEach(() => (app.asked.length = 0));
after(async () => {
    app?.stop();
    await server?.stop();
});

const external = async (config, input, extra = {}) => {
    const key = `a-${Math.random().toString(36).slice(2)}`;
    await admin.actions.create({ key, name: key, type: 'api-request-to-external-app', integrationKey: 'app', config, ...extra });
    return customer.action({ key, integrationKey: 'app' }).run(input);
};

test('connections are served in the shape that the SDK declares', async () => {
    assert.equal(connection.connected, true);
    assert.equal(connection.canTest, true);
    assert.equal(connection.canRefreshCredentials, true);
    const list = await customer.connections.find({ integrationKey: 'app' });
    assert.deepEqual(list.items.map((c) => c.id), [connection.id]);
    assert.equal(list.items[0].integration.key, 'app');
    for (const selector of [connection.id, 'app'])
        assert.equal((await customer.connection(selector).get()).id, connection.id, selector);
    const integration = await customer.integration('app').get();
    assert.equal(integration.connection.id, connection.id, 'an integration embeds the caller’s connection');
});

test('wrong input is refused before anything is stored, with the path', async () => {
    const missing = await failure(other.connections.create({ integrationKey: 'app', input: {} }));
    assert.equal(missing.data.type, 'bad_request');
    assert.match(missing.message, /key/);
    const wrong = await failure(other.connections.create({ integrationKey: 'app', input: { key: 'wrong' } }));
    assert.match(wrong.message, /bad key/);
    assert.equal((await other.connections.find()).items.length, 0);
    assert.equal((await failure(other.connections.create({ integrationKey: 'nope', input: {} }))).data.key, 'not_found');
    assert.equal((await failure(other.connections.create({ name: 'x' }))).data.type, 'bad_request');
});

test('connecting again replaces the connection in place; keys name several', async () => {
    const again = await customer.connections.create({ integrationKey: 'app', input: { key: 'right' } });
    assert.equal(again.id, connection.id);
    const second = await customer.connections.create({ integrationKey: 'app', key: 'second', input: { key: 'right' } });
    assert.notEqual(second.id, connection.id);
    assert.equal((await customer.connection('second').get()).id, second.id);
    const renamed = await customer.connection('second').patch({ name: 'Second' });
    assert.equal(renamed.name, 'Second');
    await customer.connection(second.id).archive();
    assert.equal((await failure(customer.connection('second').get())).data.key, 'not_found');
});

test('another customer neither sees nor uses the connection', async () => {
    assert.equal((await other.connections.find()).items.length, 0);
    for (const call of [
        () => other.connection(connection.id).get(),
        () => other.connection(connection.id).patch({ name: 'mine' }),
        () => other.connection(connection.id).archive(),
        () => other.connection(connection.id).proxy.get('/echo'),
        () => other.post(`connections/${connection.id}/test`),
    ]) {
        const error = await failure(call());
        assert.equal(error.data?.key ?? error.response?.data?.key, 'not_found', String(error));
    }
    assert.equal((await failure(customer.connection(connection.id).get({ includeSecrets: true }))).data.key, 'access_denied');
});

test('requests carry base address, headers and query of the client below their own', async () => {
    const { output } = await external(
        {
            request: {
                path: '/echo',
                method: 'POST',
                query: { q: { $var: '$.input.q' }, list: ['a', 'b'], gone: null },
                headers: { 'X-Own': 'yes' },
                data: { name: { $var: '$.input.name' } },
            },
        },
        { q: 'x y', name: 'Ada' },
    );
    const [asked] = app.asked;
    assert.equal(asked.url, '/echo?v=2&q=x%20y&list=a&list=b');
    assert.equal(asked.headers['x-own'], 'yes');
    assert.ok(asked.headers['x-token']);
    assert.deepEqual(asked.body, { name: 'Ada' });
    assert.equal(output.status, 200);
    assert.deepEqual(output.data.body, { name: 'Ada' });
});

test('path parameters are escaped, a missing one is a configuration error', async () => {
    const error = await failure(external({ request: { path: '/items/{id}', pathParameters: { id: { $var: '$.input.id' } } } }, {}));
    assert.equal(error.data.causedByError.type, 'configuration');
    await failure(external({ request: { path: '/items/{id}', pathParameters: { id: 'a/b?c' } } }, {}));
    assert.equal(app.asked.at(-1).url.split('?')[0], '/items/a%2Fb%3Fc');
});

test('errors of the application are told from each other', async () => {
    const run = (path, config = {}) => failure(external({ request: { path }, ...config }, {}));
    let error = await run('/fails');
    assert.equal(error.message, 'name is taken');
    assert.equal(error.data.type, 'action_run');
    assert.equal(error.data.causedByError.data.response.status, 422);
    assert.equal(error.data.causedByError.data.connectorKey, 'app');
    error = await run('/limited');
    assert.equal(error.data.causedByError.key, 'rate_limit_exceeded');
    error = await run('/hidden-error');
    assert.equal(error.message, 'no such thing');
    assert.equal(error.data.causedByError.key, 'custom_key');
    const allowed = await external({ request: { path: '/fails' }, allowNon2xx: true }, {});
    assert.equal(allowed.output.status, 422);
    assert.equal((await external({ request: { path: '/text' } }, {})).output.data, 'plain');
    assert.equal((await external({ request: { path: '/empty' } }, {})).output.data, undefined);
});

test('input is checked and converted, output is mapped', async () => {
    const inputSchema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
    const config = { request: { path: '/echo', method: 'POST', data: { n: { $var: '$.input.n' } } } };
    const { output } = await external(config, { n: '5', more: 1 }, { inputSchema, outputMapping: { n: { $var: '$.output.data.body.n' }, in: { $var: '$.input.n' } } });
    assert.deepEqual(output, { n: 5, in: 5 });
    const error = await failure(external(config, {}, { inputSchema }));
    assert.equal(error.data.type, 'bad_request');
    assert.match(error.message, /n/);
});

test('operations run by every function type that stays in the process', async () => {
    const run = (key, input) => customer.connection(connection.id).operation(key).run({ input });
    const echoed = (await run('echo', { a: 1 })).output;
    assert.equal(echoed.url, '/echo?v=2&a=1');
    assert.deepEqual((await run('mapped', {})).output, { got: 'fixed' });
    assert.deepEqual((await run('graph', { id: 'x"y' })).output, { user: { name: 'Ada' } });
    assert.equal(app.asked.at(-1).body.query, 'query { user(id: "x\\"y") { name } }');
    assert.match((await failure(run('graph-broken', {}))).message, /no field broken/);
    assert.deepEqual((await run('computed', { a: 4 })).output, { sum: 5 });
    assert.equal((await failure(run('nope', {}))).data.key, 'not_found');
    assert.equal((await customer.connection(connection.id).operation('echo').get()).key, 'echo');
    const old = await customer.post(`connections/${connection.id}/execute-request`, { key: 'computed', payload: { a: 1 } });
    assert.deepEqual(old, { sum: 2 });
});

test('an ended token is renewed once; the second refusal is passed on', async () => {
    app.rotate();
    assert.equal((await external({ request: { path: '/secure' } }, {})).output.data.secret, 42);
    assert.deepEqual(app.asked.map((a) => a.url.split('?')[0]), ['/secure', '/login', '/secure']);
    app.rotate();
    assert.deepEqual(await customer.connection(connection.id).proxy.get('/secure'), { secret: 42 });
    app.rotate();
    await customer.connection(connection.id).refreshCredentials();
    app.asked.length = 0;
    await external({ request: { path: '/secure' } }, {});
    assert.equal(app.asked.length, 1);
});

test('http requests, requests to the own application and /act need no connection', async () => {
    await admin.actions.create({
        key: 'plain', name: 'Plain', type: 'http-request',
        config: { request: { uri: `${app.uri}/echo`, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: { a: 'x y', b: 2 } } },
    });
    await other.action('plain').run({});
    assert.equal(app.asked[0].raw, 'a=x%20y&b=2');
    const outside = await failure(other.post('act', { api: { method: 'GET', path: '/echo' } }));
    assert.equal(outside.data.type, 'bad_request');
    const { output } = await customer.post('act', { connectionId: connection.id, api: { method: 'get', url: '/echo' } });
    assert.equal(output.data.url, '/echo?v=2');
    assert.equal((await failure(customer.post('act', { key: 'plain', nonsense: 1 }))).data.type, 'bad_request');
    assert.equal((await failure(customer.post('act', {}))).data.type, 'bad_request');
});

test('addresses of the private network are refused unless the operator allows them', async () => {
    for (const uri of ['http://127.0.0.2:1/', 'http://169.254.169.254/latest/meta-data', 'http://[::1]:1/', 'http://10.0.0.1/', 'file:///etc/passwd']) {
        await admin.actions.create({ key: 'x' + uri.length + Math.random(), name: 'x', type: 'http-request', config: { request: { uri, method: 'GET' } } });
        const key = (await admin.actions.find({ limit: 1 })).items[0].id;
        const error = await failure(other.action(key).run({}));
        assert.match(JSON.stringify(error.data), /address_not_allowed|not an http|relative|protocol|scheme/i, uri);
    }
});

test('the connection-scoped form takes the input itself, and runs are logged in the SDK’s shape', async () => {
    await admin.actions.create({
        key: 'scoped', name: 'Scoped', type: 'api-request-to-external-app', integrationKey: 'app',
        config: { request: { path: '/echo', method: 'POST', data: { a: { $var: '$.input.a' } } } },
    });
    const { output, actionRunId } = await customer.connection(connection.id).action('scoped').run({ a: 1 });
    assert.deepEqual(output.data.body, { a: 1 });
    const record = await customer.get(`action-run-logs/${actionRunId}`);
    const parsed = sdk.ActionRunLogRecordApiResponse.safeParse(record);
    assert.ok(parsed.success, `${parsed.error}`);
    assert.equal(record.status, 'success');
    assert.deepEqual(record.input, { a: 1 });
    const logs = await customer.get('external-api-logs', { connectionId: connection.id, limit: 5 });
    for (const item of logs.items) {
        const result = sdk.ExternalApiLogApiResponse.safeParse(item);
        assert.ok(result.success, `${result.error}`);
    }
    assert.equal((await other.get('external-api-logs')).items.filter((i) => i.connectionId === connection.id).length, 0);
    assert.equal((await failure(other.get(`action-run-logs/${actionRunId}`))).data.key, 'not_found');
});

test('a connection that the application gave up is defunct until the customer connects again', async () => {
    await failure(external({ request: { path: '/gone' } }, {}));
    const gone = await customer.connection(connection.id).get();
    assert.equal(gone.isDefunct, true);
    assert.equal(gone.connected, false);
    assert.equal(gone.state, 'CLIENT_ACTION_REQUIRED');
    const error = await failure(external({ request: { path: '/echo' } }, {}));
    assert.equal(error.data.causedByError.key, 'connection_is_defunct');
    const back = await customer.connections.create({ integrationKey: 'app', input: { key: 'right' } });
    assert.equal(back.id, connection.id);
    assert.equal(back.connected, true);
    assert.equal((await external({ request: { path: '/echo' } }, {})).output.status, 200);
});

test('stored credentials are not readable in the database', async () => {
    await customer.connection(connection.id).patch({ credentials: { token: 'very-secret-credential' } });
    assert.throws(
        () => execFileSync('grep', ['-rq', 'very-secret-credential', server.dataDir]),
        (error) => error.status === 1,
        'grep finds it',
    );
});
