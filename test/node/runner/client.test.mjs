// The core as a client of the code runner: a scripted runner in its place says what it is sent and how often. S128.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, beforeEach, test } from 'node:test';

import { freePort, startServer } from '../lib/server.mjs';
import { caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

const SECRET = 'a-secret-of-at-least-32-characters!';
let server, runner, port;
const seen = []; // {method, url, body, signed, socket}
let answer; // (response, job, times) of POST /api/v2/run

const listen = () => new Promise((done) => runner.listen(port, '127.0.0.1', done));
const say = (response, status, body, headers) => response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const act = async (input = {}) => {
    const { status, body } = await caller(server.apiUri, customerToken(workspaceOf(server), 'ada'))('POST', '/act', { code: 'export default ({ input }) => input', input });
    return { status, body, cause: body?.causedByError };
};
const jobs = () => seen.filter((s) => s.method === 'POST');

before(async () => {
    port = await freePort();
    runner = createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part)).on('end', () => {
            const raw = Buffer.concat(parts);
            const body = raw.length ? JSON.parse(raw) : undefined;
            seen.push({ method: request.method, url: request.url, body, signed: request.headers['x-runner-signature'] === createHmac('sha256', SECRET).update(raw).digest('hex'), socket: request.socket });
            if (request.method === 'POST' && request.url === '/api/v2/run') return answer(response, body, jobs().length);
            say(response, 204);
        });
    });
    runner.keepAliveTimeout = 60_000;
    await listen();
    server = await startServer({ env: { CUSTOM_CODE_RUNNER_URI: `http://127.0.0.1:${port}`, CUSTOM_CODE_MEMORY_LIMIT: '21474836480', RUNNER_SHARED_SECRET: SECRET } });
});
beforeEach(() => {
    seen.length = 0;
    answer = (response, job) => say(response, 200, { id: job.id, result: job.arguments.input, logs: [], usage: {} });
});
after(async () => {
    runner?.closeAllConnections();
    runner?.close();
    await server?.stop();
});

test('S128: CUSTOM_CODE_MEMORY_LIMIT and the time that is left travel with the job, signed', async () => {
    assert.deepEqual((await act({ a: 1 })).body.output, { a: 1 });
    const [{ body, signed }] = jobs();
    assert.equal(body.limits.memoryBytes, 21474836480);
    assert.ok(body.limits.timeoutMs > 1000 && body.limits.timeoutMs <= 50_000, String(body.limits.timeoutMs));
    assert.equal(signed, true);
    assert.equal('grant' in body && Object.keys(body.grant).length, 0, 'code that names no client gets none');
});

test('connections to the runner are kept', async () => {
    for (let i = 0; i < 5; i++) await act({ i });
    assert.equal(new Set(jobs().map((j) => j.socket)).size, 1);
});

test('503 is asked again with a growing pause; the answer of the one that took it counts', async () => {
    answer = (response, job, times) => (times < 4 ? say(response, 503, { error: { type: 'concurrency', message: 'full' } }, { 'retry-after': '1' }) : say(response, 200, { result: times, logs: [], usage: {} }));
    assert.equal((await act()).body.output, 4);
    assert.equal(new Set(jobs().map((j) => j.body.id)).size, 1, 'it is one job');
});

test('a job that was accepted is never sent again, and is ended when nobody waits for it', async () => {
    answer = (response) => response.socket.destroy();
    const { status, cause } = await act();
    assert.equal(status, 400);
    assert.deepEqual([cause.type, cause.key], ['custom_code', 'unavailable']);
    assert.equal(jobs().length, 1);
    assert.deepEqual(seen.filter((s) => s.method === 'DELETE').map((s) => s.url), [`/api/v2/run/${jobs()[0].body.id}`]);
});

test('no runner at its address: the job waits for one', async () => {
    const closed = new Promise((done) => runner.close(done));
    runner.closeAllConnections();
    await closed;
    const waiting = act({ b: 2 });
    await new Promise((done) => setTimeout(done, 100)); // some attempts in vain; how many makes no difference
    await listen();
    assert.deepEqual((await waiting).body.output, { b: 2 });
    assert.equal(jobs().length, 1);
});

test('errors of the code keep type, place and cause; errors of the service are told as such', async () => {
    const causedByError = { type: 'connection', key: 'access_token_expired', message: 'expired', data: { response: { status: 401 } } };
    answer = (response) => say(response, 400, { error: { type: 'custom_code', message: 'Error: x', data: { lineNumber: 2, columnNumber: 3, code: 'throw' }, causedByError }, logs: [], usage: {} });
    const own = await act();
    assert.deepEqual([own.cause.type, own.cause.data.lineNumber, own.cause.causedByError.key, own.cause.causedByError.data.response.status], ['custom_code', 2, 'access_token_expired', 401]);
    answer = (response) => say(response, 401, { type: 'bad_request', key: 'not_authenticated', message: 'not signed' });
    assert.match((await act()).cause.message, /refused the job: not signed/);
    answer = (response) => response.writeHead(500).end('<html>');
    assert.match((await act()).cause.message, /status 500\) is not JSON/);
});

test('logs of the job are logs of the run', async () => {
    answer = (response) => say(response, 200, { result: 1, logs: [{ type: 'message', level: 'info', message: 'told' }], usage: {} });
    assert.equal((await act()).status, 200);
});
