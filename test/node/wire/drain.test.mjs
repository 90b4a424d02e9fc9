// SIGTERM: not ready, delay, no new connections, work is finished, exit 0.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { freePort, serveEnv, startService, tempDir, until } from '../lib/server.mjs';

const status = (uri, path) => fetch(uri + path).then((r) => r.status, () => 0);

// A request whose body is sent in two halves: it is in flight as long as we like.
function slowRequest(port) {
    const request = http.request({ port, host: '127.0.0.1', method: 'PUT', path: '/customer', headers: { 'content-length': 4 } });
    const answer = new Promise((done, fail) => {
        request.on('response', (response) => {
            response.resume();
            response.on('end', () => done(response));
        });
        request.on('error', fail);
    });
    request.write('{}');
    return { answer, finish: () => request.end('  ') };
}

test('during the drain delay it answers, but is not ready and closes connections', async () => {
    const port = await freePort();
    const service = await startService('serve', { ...serveEnv(tempDir(), port), SHUTDOWN_DRAIN_DELAY_SECONDS: '2' });
    service.kill('SIGTERM');
    await until(async () => (await status(service.uri, '/readyz')) === 503, 'readiness to go');
    assert.equal(await status(service.uri, '/'), 503);
    const answer = await fetch(service.uri + '/livez');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('connection'), 'close');
    assert.deepEqual(await service.ended, { code: 0, signal: null });
});

test('a request in flight is finished', async () => {
    const port = await freePort();
    const service = await startService('serve', serveEnv(tempDir(), port));
    const slow = slowRequest(port);
    await until(() => new Promise((done) => {
        // The head has arrived when a later request on another connection was answered.
        fetch(service.uri + '/livez').then(() => done(true), () => done(false));
    }), 'the head to arrive');
    service.kill('SIGTERM');
    await until(() => new Promise((done) => {
        const probe = net.connect(port, '127.0.0.1');
        probe.on('connect', () => { probe.destroy(); done(false); });
        probe.on('error', () => done(true));
    }), 'the listener to close');
    assert.equal(service.exited, false);
    slow.finish();
    const response = await slow.answer;
    assert.equal(response.statusCode, 401);
    assert.deepEqual(await service.ended, { code: 0, signal: null });
});

test('the grace is bounded', async () => {
    const port = await freePort();
    const service = await startService('serve', { ...serveEnv(tempDir(), port), SHUTDOWN_GRACE_SECONDS: '1' });
    const slow = slowRequest(port);
    slow.answer.catch(() => {});
    await status(service.uri, '/livez');
    service.kill('SIGTERM');
    assert.deepEqual(await service.ended, { code: 0, signal: null });
});

test('a second signal ends it at once', async () => {
    const port = await freePort();
    const service = await startService('serve', { ...serveEnv(tempDir(), port), SHUTDOWN_DRAIN_DELAY_SECONDS: '60' });
    service.kill('SIGTERM');
    await until(async () => (await status(service.uri, '/readyz')) === 503, 'readiness to go');
    service.kill('SIGINT');
    assert.deepEqual(await service.ended, { code: 130, signal: null });
});
