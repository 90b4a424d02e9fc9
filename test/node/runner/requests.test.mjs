// Requests of custom code: the process has no network, the supervisor makes them under the policy for users' addresses. S121, S122.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { startRunner } from './runner.mjs';

let app, uri, runner, closed;
before(async () => {
    app = createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part)).on('end', () => {
            const body = Buffer.concat(parts);
            if (request.url.startsWith('/status/')) return response.writeHead(Number(request.url.slice(8)), { 'content-type': 'application/json' }).end('{"why":"status"}');
            if (request.url === '/bytes') return response.end(Buffer.from([0, 255, 128, 1]));
            if (request.url === '/redirect') return response.writeHead(302, { location: '/there' }).end();
            if (request.url === '/metadata') return response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end();
            response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
            response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: body.toString() }));
        });
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    uri = `http://127.0.0.1:${app.address().port}`;
    [runner, closed] = await Promise.all([startRunner({ RUNNER_EGRESS_ALLOW: '127.0.0.1/32' }), startRunner()]);
});
after(async () => {
    app.closeAllConnections();
    app.close();
    await Promise.all([runner.stop(), closed.stop()]);
});
const ok = async (code, args = {}, more) => {
    const { status, body } = await runner.run(code, { uri, ...args }, more);
    assert.equal(status, 200, JSON.stringify(body));
    return body.result;
};

test('fetch reaches what the policy allows', async () => {
    const got = await ok('export default async ({ uri }) => { const r = await fetch(uri + "/x?y=1", { method: "POST", headers: { "X-A": "b" }, body: JSON.stringify({ a: 1 }) }); return { ...(await r.json()), status: r.status, ok: r.ok, type: r.headers.get("content-type") } }');
    assert.deepEqual([got.method, got.url, got.body, got.headers['x-a'], got.status, got.ok, got.type], ['POST', '/x?y=1', '{"a":1}', 'b', 200, true, 'application/json']);
    assert.deepEqual(await ok('export default async ({ uri }) => [...new Uint8Array(await (await fetch(uri + "/bytes")).arrayBuffer())]'), [0, 255, 128, 1]);
    assert.equal((await ok('export default async ({ uri }) => (await fetch(uri + "/redirect")).json()')).url, '/there');
    assert.equal(await ok('export default async ({ uri }) => (await fetch(uri + "/redirect", { redirect: "manual" })).status'), 302);
    assert.equal(await ok('export default async ({ uri }) => { const f = new FormData(); f.append("k", "v"); return (await (await fetch(uri, { method: "POST", body: f })).json()).body.includes(\'name="k"\') }'), true);
    assert.deepEqual(await ok('export default async ({ uri }) => (await Promise.all(Array.from({ length: 30 }, (_, i) => fetch(uri + "/" + i).then((r) => r.json())))).map((r) => r.url)'), Array.from({ length: 30 }, (_, i) => `/${i}`));
});

test('loopback, metadata and private addresses are refused, also after a redirect', async () => {
    for (const address of [uri, 'http://localhost/', 'http://169.254.169.254/', 'http://10.0.0.1/', 'http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://192.168.1.1/'])
        assert.match((await closed.run('export default async ({ u }) => fetch(u).then(() => "reached", (e) => e.cause.message)', { u: address })).body.result, /not allowed|not a public|find the address/, address);
    assert.match(await ok('export default async ({ uri }) => fetch(uri + "/metadata").then(() => "reached", (e) => e.cause.message)'), /not allowed/);
    for (const address of ['file:///etc/passwd', 'gopher://127.0.0.1/', 'ftp://127.0.0.1/'])
        assert.notEqual(await ok('export default async ({ u }) => fetch(u).then(() => "reached", (e) => e.message)', { u: address }), 'reached', address);
});

test('axios, as connectors use it', async () => {
    const got = await ok('import axios from "axios";\nexport default async ({ uri }) => { const c = axios.create({ baseURL: uri, headers: { "X-K": "v" } }); return (await c.post("/p", { a: 1 }, { params: { q: [1, 2], s: "a b" } })).data }');
    assert.deepEqual([got.method, got.url, got.body, got.headers['x-k'], got.headers['content-type']], ['POST', '/p?q%5B%5D=1&q%5B%5D=2&s=a+b', '{"a":1}', 'v', 'application/json']);
    const failed = await ok('const axios = require("axios"); module.exports = async ({ uri }) => axios.get(uri + "/status/422").catch((e) => [axios.isAxiosError(e), e.message, e.response.status, e.response.data])');
    assert.deepEqual(failed, [true, 'Request failed with status code 422', 422, { why: 'status' }]);
    assert.equal(await ok('import axios from "axios";\nexport default async ({ uri }) => (await axios({ url: uri + "/status/500", validateStatus: () => true })).status'), 500);
    assert.equal((await ok('import axios from "axios";\nexport default async ({ uri }) => (await axios.post(uri, new URLSearchParams({ a: "1" }))).data')).body, 'a=1');
    const used = await ok('import axios from "axios";\nexport default async ({ uri }) => { axios.interceptors.request.use((c) => ({ ...c, headers: { ...c.headers, "X-I": "1" } })); return (await axios.get(uri, { auth: { username: "u", password: "p" } })).data.headers }');
    assert.deepEqual([used['x-i'], used.authorization], ['1', 'Basic dTpw']);
    assert.deepEqual(await ok('import axios from "axios";\nexport default async ({ uri }) => [...(await axios.get(uri + "/bytes", { responseType: "arraybuffer" })).data]'), [0, 255, 128, 1]);
});

test('an API client sends what the code never sees', async () => {
    const grant = { external: { client: { baseUri: uri + '/api', headers: { Authorization: 'Bearer secret-token' }, query: { key: 'k1' } } } };
    const got = await ok('export default async ({ externalApiClient: c, apiClient, ...rest }) => [await c.get("/a", { q: 1 }), await c.post("b", { x: 1 }, { headers: { "X-H": "1" } }), await apiClient.put("/c", { y: 2 }), await c.patch("/d", {}), await c.delete("/e", {}, {}, {}), rest]', {}, { grant });
    assert.deepEqual(got.slice(0, 5).map((r) => [r.method, r.url]), [['GET', '/api/a?key=k1&q=1'], ['POST', '/api/b?key=k1'], ['PUT', '/api/c?key=k1'], ['PATCH', '/api/d?key=k1'], ['DELETE', '/api/e?key=k1']]);
    assert.ok(got.slice(0, 5).every((r) => r.headers.authorization === 'Bearer secret-token'));
    assert.equal(got[1].body, '{"x":1}');
    assert.equal(got[1].headers['x-h'], '1');
    assert.equal(JSON.stringify(got[5]).includes('secret-token'), false);
    const full = await ok('export default async ({ externalApiClient: c }) => c.makeApiRequest({ path: "/f", method: "POST", data: { a: 1 }, returnFullResponse: true })', {}, { grant });
    assert.deepEqual([full.status, full.data.method, full.headers['content-type']], [200, 'POST', 'application/json']);
    const absolute = await ok('export default async ({ externalApiClient: c, uri }) => c.get(uri + "/abs")', {}, { grant });
    assert.match(absolute.url, /^\/abs/);
});

test('an error of the app keeps its type, and can be caught', async () => {
    const grant = { external: { client: { baseUri: uri } } };
    const { body } = await runner.run('export default async ({ externalApiClient: c }) => c.get("/status/401")', {}, { grant });
    assert.deepEqual([body.error.type, body.error.key], ['connection', 'access_token_expired']);
    const caught = await ok('export default async ({ externalApiClient: c }) => { try { await c.get("/status/404") } catch (e) { return [e.name, e.type, e.data.response.status ?? e.data.response.statusCode] } }', {}, { grant });
    assert.deepEqual(caught, ['ConnectionError', 'connection', 404]);
});

test('requests are log entries without secrets', async () => {
    const grant = { external: { client: { baseUri: uri, headers: { Authorization: 'Bearer secret-token' } } } };
    const { body } = await runner.run('export default async ({ externalApiClient: c, uri }) => { await c.get("/a"); await fetch(uri + "/b") }', { uri }, { grant });
    assert.deepEqual(body.logs.map((l) => l.type), ['api-request', 'api-request']);
    assert.equal(JSON.stringify(body.logs).includes('secret-token'), false);
});

test('RUNNER_SHARED_SECRET: an unsigned job is refused', async () => {
    const locked = await startRunner({ RUNNER_SHARED_SECRET: 'a-secret-of-at-least-32-characters!' });
    assert.equal((await locked.run('export default () => 1')).status, 401);
    await locked.stop();
});
