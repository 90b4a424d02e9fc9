// `membrane up`: one command, every service, no variable.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, startServer, tempDir, until } from '../lib/server.mjs';

let server;
before(async () => {
    server = await startServer();
});
after(() => server.stop());

const childrenOf = (pid) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

test('the bootstrap file holds what scripts need and is private', () => {
    assert.equal(statSync(server.bootstrapFile).mode & 0o777, 0o600);
    for (const name of ['apiUri', 'uiUri', 'consoleUri', 'adminUri'])
        assert.match(server[name], /^https?:\/\//, name);
    assert.ok(server.workspaceKey.length >= 16);
    assert.ok(server.workspaceSecret.length >= 32);
    const port = (uri) => Number(new URL(uri).port);
    assert.equal(port(server.uiUri), port(server.apiUri) + 1);
    assert.equal(port(server.consoleUri), port(server.apiUri) + 2);
});

// S59 S102 S119
test('GET / of every service answers 200 without redirect, HEAD too', async () => {
    for (const [service, uri] of [['api', server.apiUri], ['ui', server.uiUri], ['console', server.consoleUri]]) {
        const answer = await fetch(uri + '/', { redirect: 'manual' });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('set-cookie'), null);
        const body = await answer.json();
        assert.equal(body.status, 'ok');
        assert.equal(body.service, service);
        assert.match(body.version, /^\d/);
        assert.equal((await fetch(uri + '/', { method: 'HEAD' })).status, 200);
        assert.equal((await fetch(uri + '/livez')).status, 200);
        assert.equal((await fetch(uri + '/readyz')).status, 200);
        assert.equal((await fetch(uri + '/startupz')).status, 200);
    }
});

// S156: the three core roles that `up` plays answer on the API's port; the workers and the
// orchestrator in processes of their own are in modes.test.mjs
test('every service has metrics that a strict reader understands', async () => {
    const paths = [
        server.apiUri + '/prometheus', server.apiUri + '/prometheus/queued-tasks', server.uiUri + '/prometheus',
        server.consoleUri + '/prometheus', server.runnerUri + '/api/v2/prometheus',
    ];
    const sample = /^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (NaN|[+-]?Inf|[+-]?[0-9.]+(e[+-]?[0-9]+)?)$/;
    for (const path of paths) {
        const answer = await fetch(path);
        assert.equal(answer.status, 200, path);
        assert.match(answer.headers.get('content-type'), /^text\/plain/);
        const lines = (await answer.text()).trimEnd().split('\n');
        const typed = new Set();
        for (const line of lines) {
            const [, kind, name] = /^# (HELP|TYPE) (\S+) \S/.exec(line) ?? [];
            if (kind === 'TYPE') {
                assert.ok(!typed.has(name), `${path}: ${name} twice`);
                typed.add(name);
            } else if (!kind) {
                assert.match(line, sample, path);
                const base = line.match(/^[^ {]+/)[0];
                assert.ok(typed.has(base) || typed.has(base.replace(/_(bucket|sum|count)$/, '')), `${path}: ${base} has no type`);
            }
        }
        assert.ok(typed.size > 0, path);
    }
});

test('readiness names its checks when asked', async () => {
    const body = await (await fetch(server.apiUri + '/readyz?verbose=1')).json();
    assert.equal(body.status, 'ready');
    assert.deepEqual(body.checks.map((c) => [c.name, c.ok]), [['start', true], ['drain', true], ['store', true], ['redis', true], ['objects', true]]);
});

// S95 S106 S109 S110 S111: addresses reach the page when it is served
test('pages get their addresses at run time, never from a cache', async () => {
    const ui = await fetch(server.uiUri + '/config.json');
    assert.equal(ui.headers.get('cache-control'), 'no-store');
    assert.equal((await ui.json()).apiUri, server.apiUri);
    const console_ = await (await fetch(server.consoleUri + '/config.json')).json();
    assert.equal(console_.apiUri, server.apiUri);
    assert.equal(console_.uiUri, server.uiUri);
    assert.equal(console_.baseUri, server.consoleUri);
    assert.equal(console_.enableLimits, false);
});

test('the UI may be framed, the console may not', async () => {
    const accept = { headers: { accept: 'text/html' } };
    const ui = await fetch(server.uiUri + '/', accept);
    assert.match(await ui.text(), /<title>/);
    assert.doesNotMatch(ui.headers.get('content-security-policy') ?? '', /frame-ancestors/);
    assert.equal(ui.headers.get('x-frame-options'), null);
    const console_ = await fetch(server.consoleUri + '/', accept);
    assert.match(console_.headers.get('content-security-policy'), /frame-ancestors 'none'/);
});

test('an unknown path is a 404 in the error shape, with a request id', async () => {
    const answer = await fetch(server.apiUri + '/no-such-thing', { headers: { 'x-request-id': 'abc-1' } });
    assert.equal(answer.status, 404);
    assert.equal(answer.headers.get('x-request-id'), 'abc-1');
    const body = await answer.json();
    assert.equal(body.type, 'bad_request');
    assert.equal(body.key, 'not_found');
});

test('generated secrets are private and stay the same', async () => {
    const dataDir = tempDir();
    const first = await startServer({ dataDir });
    const file = join(dataDir, 'secrets');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const before = readFileSync(file, 'utf8');
    assert.match(before, /^SECRET=[\w-]{32}$/m);
    assert.deepEqual(await first.stop(), { code: 0, signal: null });
    const second = await startServer({ dataDir });
    assert.equal(readFileSync(file, 'utf8'), before);
    assert.equal(second.workspaceKey, first.workspaceKey);
    assert.equal(second.workspaceSecret, first.workspaceSecret);
    assert.equal((await second.stop()).code, 0);
});

test('a second up on the same data is refused with status 75', async () => {
    const other = launch(['up', '--data', server.dataDir, '--port', '0'], {});
    assert.equal((await other.ended).code, 75);
    assert.match(other.stderr, /in use/);
});

test('a crashed child is started again', async () => {
    const mine = await startServer();
    const [core] = childrenOf(mine.pid);
    process.kill(core, 'SIGKILL');
    await until(() => childrenOf(mine.pid).some((pid) => pid !== core), 'a new child');
    await until(() => fetch(mine.apiUri + '/').then((r) => r.ok, () => false), 'the API again');
    assert.deepEqual(await mine.stop(), { code: 0, signal: null });
});

test('children never outlive the supervisor', async () => {
    const mine = await startServer();
    const children = childrenOf(mine.pid);
    assert.ok(children.length >= 1);
    mine.kill('SIGKILL');
    await until(() => children.every((pid) => !existsSync(`/proc/${pid}`)), 'the children to end');
});

test('a start that fails says why, with its status', async () => {
    const port = Number(new URL(server.apiUri).port);
    const other = launch(['up', '--data', tempDir(), '--port', String(port)], {});
    assert.equal((await other.ended).code, 75);
    assert.match(other.stderr, /can't start/);
    const bad = launch(['up', '--data', tempDir(), '--port', '0'], { STORAGE_PROVIDER: 'ftp', LOG_LEVEL: 'loud' });
    assert.equal((await bad.ended).code, 78);
    assert.match(bad.stderr, /config error: STORAGE_PROVIDER: unknown-value/);
    assert.match(bad.stderr, /config error: LOG_LEVEL: unknown-value/);
    const elsewhere = launch(['up', '--data', tempDir(), '--port', '0'], {
        CONNECTION_CREDENTIALS_STORAGE_TYPE: 'external_api',
        CONNECTION_CREDENTIALS_EXTERNAL_API_ENDPOINT_URL: 'https://vault.example.com',
    });
    assert.equal((await elsewhere.ended).code, 78, elsewhere.stderr);
    assert.match(elsewhere.stderr, /external_api is not supported/);
});

test('the data directory is private', () => {
    assert.equal(statSync(server.dataDir).mode & 0o077, 0);
    for (const name of readdirSync(server.dataDir))
        assert.equal(statSync(join(server.dataDir, name)).mode & 0o077, 0, name);
});

test('a first start that is killed at any moment is completed by the next', async () => {
    for (let round = 0; round < 6; round++) {
        const dataDir = tempDir();
        const args = ['up', '--data', dataDir, '--port', '0'];
        const killed = launch(args, {});
        await new Promise((done) => setTimeout(done, [0, 20, 40, 60, 90, 140][round]));
        await killed.stop('SIGKILL');
        let mine; // the killed one's core may hold the lock until the kernel has ended it
        await until(async () => (mine = await startServer({ dataDir }).catch(() => null)), 'a second start');
        assert.ok(mine.workspaceSecret.length >= 32);
        assert.equal((await mine.stop()).code, 0);
        const again = await startServer({ dataDir });
        assert.equal(again.workspaceKey, mine.workspaceKey);
        assert.equal(again.workspaceSecret, mine.workspaceSecret);
        assert.equal((await again.stop()).code, 0);
    }
});
