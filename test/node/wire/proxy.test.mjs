// The proxy of a connection: the application behind its credentials, everything else
// unchanged (headers, status, bytes), and as soon as it comes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

let server, app, uri, token, admin, connection;
let serve; // what the application does with (request, response, body)
const seen = [];

before(async () => {
    app = http.createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => {
            const body = Buffer.concat(parts);
            seen.push({ method: request.method, url: request.url, headers: request.headers, body });
            serve(request, response, body);
        });
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    uri = `http://127.0.0.1:${app.address().port}`;
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } });
    const workspace = workspaceOf(server);
    token = customerToken(workspace, 'c-1');
    admin = caller(server.apiUri, adminToken(workspace));
    const call = caller(server.apiUri, token);
    await admin('POST', '/connectors', {
        key: 'app',
        name: 'App',
        type: 'client-credentials',
        makeApiClient: {
            type: 'mapping',
            mapping: {
                baseUri: `${uri}/base`,
                headers: { authorization: { $concat: ['Bearer ', { $var: '$.credentials.key' }] } },
                query: { site: 's 1' },
            },
        },
        refreshCredentials: {
            type: 'rest-api-mapping',
            mapping: { path: '/renew', method: 'post', responseMapping: { key: { $var: '$.response.data.key' } } },
        },
    });
    await admin('POST', '/integrations', { key: 'app', name: 'App', connectorKey: 'app' });
    const made = await call('POST', '/connections', { integrationKey: 'app', credentials: { key: 'k1' } });
    assert.ok(made.status < 300, made.text);
    connection = made.body.id;
});
after(async () => {
    app?.close();
    app?.closeAllConnections();
    await server?.stop();
});

const plain = (status, text, headers = {}) => (request, response) => {
    response.writeHead(status, headers);
    response.end(text);
};

// One request through the proxy, with exactly these headers: {status, headers, body}.
function through(method, path, { headers = {}, body, onData } = {}) {
    const url = new URL(`${server.apiUri}/connections/${connection}/proxy${path}`);
    return new Promise((done, fail) => {
        const request = http.request(url, { method, headers: { authorization: `Bearer ${token}`, ...headers } });
        request.on('error', fail);
        request.on('response', (response) => {
            const parts = [];
            response.on('data', (part) => (parts.push(part), onData?.(part)));
            response.on('error', fail);
            response.on('end', () =>
                done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }),
            );
        });
        request.end(body);
    });
}

for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'])
    test(`${method} is passed on, and its answer is not touched`, async () => {
        serve = plain(418, 'short and stout', { 'x-app': 'yes', 'content-type': 'text/x-tea', 'set-cookie': 'a=b' });
        const { status, headers, body } = await through(method, '/a%20b/c?x=1&y=%2F');
        assert.equal(status, 418);
        assert.equal(headers['x-app'], 'yes');
        assert.equal(headers['content-type'], 'text/x-tea');
        assert.equal(body.toString(), method === 'HEAD' ? '' : 'short and stout');
        const asked = seen.at(-1);
        assert.equal(asked.method, method);
        const url = new URL(asked.url, uri);
        assert.equal(url.pathname, '/base/a%20b/c');
        assert.equal(url.searchParams.get('x'), '1');
        assert.equal(url.searchParams.get('y'), '/');
        assert.equal(url.searchParams.get('site'), 's 1');
        assert.equal(asked.headers.authorization, 'Bearer k1');
    });

test('headers of proxies on the way and of this hop stay here, others go on', async () => {
    serve = plain(200, '{}');
    const dropped = [
        'x-request-id', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-proto',
        'x-forwarded-scheme', 'x-scheme', 'x-original-forwarded-for', 'x-different-name', 'x-request-start',
        'x-using-nginx-controller', 'x-amzn-trace-id', 'forwarded-for-header', 'proxy-protocol', 'real_ip_header',
        'real_ip_recursive', 'cdn-loop', 'cf-ipcountry', 'cf-ray', 'cf-visitor', 'cf-connecting-ip', 'te',
        'proxy-authorization', 'membrane-api-version',
    ];
    const headers = Object.fromEntries(dropped.map((name) => [name, 'from-the-way']));
    await through('GET', '/', { headers: { ...headers, 'x-own': 'mine', accept: 'text/csv', 'if-none-match': '"1"' } });
    const asked = seen.at(-1).headers;
    for (const name of dropped) assert.notEqual(asked[name], 'from-the-way', name);
    assert.equal(asked['x-own'], 'mine');
    assert.equal(asked.accept, 'text/csv');
    assert.equal(asked['if-none-match'], '"1"');
    assert.equal(asked.host, new URL(uri).host);
});

test('a body of any bytes arrives as it is, with its length or in chunks', async () => {
    serve = (request, response, body) => response.end(body);
    const bytes = randomBytes(3_000_000);
    for (const headers of [{ 'content-length': String(bytes.length) }, { 'transfer-encoding': 'chunked' }]) {
        const answer = await through('POST', '/echo', { headers: { ...headers, 'content-type': 'image/x-none' }, body: bytes });
        assert.ok(answer.body.equals(bytes));
        assert.ok(seen.at(-1).body.equals(bytes));
        assert.equal(seen.at(-1).headers['content-type'], 'image/x-none');
    }
});

test('a query token is ours and goes no further', async () => {
    serve = plain(200, '{}');
    const answer = await fetch(`${server.apiUri}/connections/${connection}/proxy/q?a=1&token=${token}&b=2`);
    assert.equal(answer.status, 200);
    const url = new URL(seen.at(-1).url, uri);
    assert.deepEqual([...url.searchParams.keys()].sort(), ['a', 'b', 'site']);
});

test('a full address keeps its host, and the private network stays closed', async () => {
    serve = plain(200, '{"ok":true}');
    const whole = await through('GET', `/${uri}/elsewhere`);
    assert.equal(whole.status, 200);
    assert.equal(new URL(seen.at(-1).url, uri).pathname, '/elsewhere');
    const closed = await through('GET', '/http://169.254.169.254/latest/meta-data');
    assert.ok(closed.status >= 400 && closed.status < 500, String(closed.status));
    assert.equal(JSON.parse(closed.body).type !== undefined, true);
});

test('the first bytes of an answer arrive before the application has sent the last ones', async () => {
    let finish;
    serve = (request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: first\n\n');
        finish = () => response.end('data: last\n\n');
    };
    // the application ends its answer only when the first part has come through
    const { body } = await through('GET', '/events', { onData: () => (finish?.(), (finish = undefined)) });
    assert.equal(body.toString(), 'data: first\n\ndata: last\n\n');
});

test('an answer that is larger than a queue arrives whole', async () => {
    const bytes = randomBytes(12_000_000);
    serve = (request, response) => response.end(bytes);
    assert.ok((await through('GET', '/large')).body.equals(bytes));
});

test('refused credentials are renewed once; the second refusal is the answer', async () => {
    let good = 'k2', renewed = 0;
    const work = (request, response) => {
        response.setHeader('content-type', 'application/json');
        if (request.url.startsWith('/base/renew')) return response.end(JSON.stringify({ key: `k${++renewed + 1}` }));
        response.statusCode = request.headers.authorization === `Bearer ${good}` ? 200 : 401;
        response.end(JSON.stringify({ as: request.headers.authorization }));
    };
    serve = work;
    const answer = await through('POST', '/x', { body: 'again' });
    assert.equal(answer.status, 200);
    assert.equal(renewed, 1);
    assert.equal(seen.at(-1).body.toString(), 'again');
    good = 'nobody';
    const refused = await through('GET', '/x');
    assert.equal(refused.status, 401);
    assert.deepEqual(JSON.parse(refused.body), { as: 'Bearer k3' });
    assert.equal(renewed, 2);
});

test('a call is logged, without its secrets', async () => {
    serve = plain(200, '{}');
    await through('GET', '/logged?access_token=verysecret');
    const { items } = (await admin('GET', '/external-api-logs?limit=5')).body;
    const log = items.find((each) => each.requestUrl.includes('/logged'));
    assert.equal(log.statusCode, 200);
    assert.equal(log.isSuccess, true);
    assert.ok(!JSON.stringify(log).includes('verysecret'));
    const details = await admin('GET', `/external-api-logs/${log.id}/details`);
    assert.equal(details.status, 200);
    assert.ok(!details.text.includes('verysecret') && !details.text.includes('Bearer k'));
});

test('an application that is not there is a connection error, not a 5xx', async () => {
    const gone = http.createServer();
    await new Promise((done) => gone.listen(0, '127.0.0.1', done));
    const { port } = gone.address();
    await new Promise((done) => gone.close(done));
    const answer = await through('GET', `/http://127.0.0.1:${port}/`);
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).type, 'connection');
});

test("calls for users go through the operator's proxy, others do not", async () => {
    const asked = [];
    const proxy = http.createServer((request, response) => {
        asked.push({ url: request.url, auth: request.headers['proxy-authorization'] });
        response.setHeader('content-type', 'application/json');
        response.end('{"by":"the proxy"}');
    });
    await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
    const own = await startServer({
        env: {
            PRIVATE_NETWORK_ALLOW: '127.0.0.1',
            HTTP_PROXY: `http://me:pass-of-proxy@127.0.0.1:${proxy.address().port}`,
            NO_PROXY: '127.0.0.1',
        },
    });
    try {
        const call = caller(own.apiUri, adminToken(workspaceOf(own)));
        const run = async (to) => {
            const config = { request: { uri: to } };
            const { body } = await call('POST', '/actions', { name: 'A', type: 'http-request', config });
            return (await call('POST', `/actions/${body.id}/run`, {})).body;
        };
        const through_ = await run('http://app.example/things?a=1');
        assert.deepEqual(through_.output?.data, { by: 'the proxy' }, JSON.stringify(through_));
        assert.equal(asked[0].url, 'http://app.example/things?a=1');
        assert.equal(Buffer.from(asked[0].auth.split(' ')[1], 'base64').toString(), 'me:pass-of-proxy');
        serve = plain(200, '{"by":"the application"}', { 'content-type': 'application/json' });
        assert.deepEqual((await run(`${uri}/direct`)).output?.data, { by: 'the application' });
        assert.equal(asked.length, 1);
        // names of the inside are not even asked of the proxy
        assert.equal((await run('http://localhost/')).type, 'action_run');
        assert.equal(asked.length, 1);
        assert.ok(!own.stderr.includes('pass-of-proxy'));
    } finally {
        await own.stop();
        proxy.close();
        proxy.closeAllConnections();
    }
});
