// A rolling restart under load loses no request: two processes on one data directory behind
// a balancer that retries nothing; each is replaced in turn while clients keep calling.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { startBalancer } from '../lib/balancer.mjs';
import { freePort, serveEnv, startService, tempDir, until } from '../lib/server.mjs';

const CLIENTS = 16;

function call(uri, agent) {
    return new Promise((done) => {
        http.get(uri, { agent }, (response) => {
            response.resume();
            response.on('end', () => done(response.statusCode));
            response.on('error', (error) => done(String(error)));
        }).on('error', (error) => done(String(error)));
    });
}

// S6 S13 and the drain of S99-S100: nothing a client can see
test('replacing both processes loses no request', async () => {
    const dataDir = tempDir();
    const ports = [await freePort(), await freePort()];
    const env = (port) => ({
        ...serveEnv(dataDir, port),
        SHUTDOWN_DRAIN_DELAY_SECONDS: '1',
        LOG_LEVEL: 'warn',
    });
    const services = await Promise.all(ports.map((port) => startService('serve', env(port))));
    const balancer = await startBalancer(ports);
    const agent = new http.Agent({ keepAlive: true });
    const counts = {};
    let stop = false;
    // 401 is the answer of a handler behind the router: the whole path but the token.
    const clients = Array.from({ length: CLIENTS }, async () => {
        while (!stop) {
            const result = await call(balancer.uri + '/customer', agent);
            counts[result] = (counts[result] ?? 0) + 1;
        }
    });
    for (const i of [0, 1]) {
        services[i].kill('SIGTERM');
        assert.deepEqual(await services[i].ended, { code: 0, signal: null });
        services[i] = await startService('serve', env(ports[i]));
        await until(() => balancer.isReady(ports[i]), 'the new process to be ready');
    }
    stop = true;
    await Promise.all(clients);
    agent.destroy();
    balancer.stop();
    await Promise.all(services.map((service) => service.stop()));
    assert.deepEqual(Object.keys(counts), ['401'], JSON.stringify(counts));
    assert.ok(counts[401] > CLIENTS * 5, JSON.stringify(counts));
});
