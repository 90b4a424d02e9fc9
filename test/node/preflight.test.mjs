// `membrane preflight` and `membrane migrate`: one line per check, and what each says when
// something is wrong. S136 S137 S139-S142.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { startObjectStore } from './lib/object_store.mjs';
import { freePort, runCommand, serveEnv, tempDir } from './lib/server.mjs';

let store, env, web, smtp;

// Everything that a deployment has in front: runner, public addresses, static files, keys.
function outside(rq, rs) {
    const keys = { '/keys': [{ kty: 'RSA', kid: '1' }], '/no-keys': [] }[rq.url];
    if (keys) return rs.end(JSON.stringify({ keys }));
    const issuer = rq.url.match(/^(\/no)?\/issuer\/\.well-known\/openid-configuration$/);
    if (issuer) return rs.end(JSON.stringify({ jwks_uri: `${web.uri}/${issuer[1] ? 'no-' : ''}keys` }));
    if (rq.url.startsWith('/static/')) {
        try {
            return rs.end(readFileSync(join(store.dir('membrane-static'), rq.url.slice(8))));
        } catch {
            return rs.writeHead(404).end();
        }
    }
    if (rq.url.startsWith('/broken')) return rs.writeHead(500).end();
    if (rq.url.startsWith('/late')) rs.setHeader('Date', new Date(Date.now() - 3600_000).toUTCString());
    rs.end('{}');
}

before(async () => {
    store = await startObjectStore();
    web = createServer(outside).listen(0, '127.0.0.1');
    await new Promise((done) => web.on('listening', done));
    web.uri = `http://127.0.0.1:${web.address().port}`;
    smtp = createTcpServer((socket) => {
        socket.on('error', () => {});
        socket.write('220 test ESMTP\r\n');
        socket.on('data', (data) => socket.write(/^QUIT/i.test(data) ? '221 bye\r\n' : '250 test\r\n'));
    }).listen(0, '127.0.0.1');
    await new Promise((done) => smtp.on('listening', done));
    env = {
        ...serveEnv(tempDir(), await freePort()),
        ...store.env,
        BASE_URI: `${web.uri}/api`,
        CUSTOM_CODE_RUNNER_URI: web.uri,
        BASE_STATIC_URI: `${web.uri}/static`,
        OIDC_ISSUER: `${web.uri}/issuer`,
        OIDC_CLIENT_ID: 'client',
        SMTP_HOST: '127.0.0.1',
        SMTP_PORT: String(smtp.address().port),
        EMAIL_FROM: 'a@example.com',
    };
});
after(async () => {
    web.close();
    web.closeAllConnections();
    smtp.close();
    await store.stop();
});

const preflight = (changes, ...args) => runCommand(['preflight', ...args], { ...env, ...changes });
const result = (stdout, name) => stdout.match(new RegExp(`^(\\S+) +${name} +(.*)$`, 'm'))?.slice(1);

test('with everything in place each check is ok', async () => {
    const { code, stdout, stderr } = await preflight({});
    assert.equal(code, 0, stdout + stderr);
    const lines = stdout.trim().split('\n');
    assert.deepEqual(
        lines.map((line) => line.split(/ +/)[1]),
        ['documents', 'tasks', 'objects', 'presign', 'static', 'runner', 'sign-in', 'mail', 'names', 'addresses', 'clock'],
    );
    for (const line of lines) assert.match(line, /^ok /, stdout);
    assert.ok(!(stdout + stderr).includes('test-secret-of-forty'), 'a secret was printed');
});

test('the report can be JSON', async () => {
    const { code, stdout } = await preflight({}, '--json', '--only', 'objects,runner');
    assert.equal(code, 0);
    const report = JSON.parse(stdout);
    assert.equal(report.ready, true);
    assert.deepEqual(report.checks.map((c) => [c.name, c.result]), [['objects', 'ok'], ['runner', 'ok']]);
});

test('with embedded stores what the API serves itself is skipped', async () => {
    const clean = { ...serveEnv(tempDir(), await freePort()), CUSTOM_CODE_RUNNER_URI: web.uri };
    const { stdout } = await runCommand(['preflight', '--only', 'objects,presign,static,mail'], clean);
    assert.deepEqual(result(stdout, 'objects'), ['ok', 'fs']);
    for (const name of ['presign', 'static', 'mail']) assert.equal(result(stdout, name)[0], 'skip', stdout);
});

const failures = [
    ['documents', () => ({ DATA_DIR: notADirectory() }), /DATA_DIR|not-a-directory/],
    ['documents', () => ({ MONGO_URI: 'mongodb://127.0.0.1:1/db' }), /can't be reached/],
    ['tasks', () => ({ REDIS_URI: 'redis://127.0.0.1:1' }), /refused/],
    ['objects', () => ({ AWS_SECRET_ACCESS_KEY: 'another' }), /SignatureDoesNotMatch/],
    ['objects', () => ({ TMP_S3_BUCKET: 'no-such-bucket' }), /tmp bucket no-such-bucket.*does not exist/],
    ['objects', () => ({ AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' }), /S3 can't be reached/],
    ['presign', () => ({ TMP_S3_BUCKET: 'no-such-bucket' }), /does not exist/],
    ['static', () => ({ BASE_STATIC_URI: `${web.uri}/broken` }), /answers 500, not the object/],
    ['runner', () => ({ CUSTOM_CODE_RUNNER_URI: 'http://127.0.0.1:1' }), /refused/],
    ['runner', () => ({ CUSTOM_CODE_RUNNER_URI: `${web.uri}/broken` }), /answers 500/],
    ['sign-in', () => ({ OIDC_ISSUER: `${web.uri}/no/issuer` }), /0 keys/],
    ['sign-in', () => ({ OIDC_ISSUER: 'http://127.0.0.1:1' }), /refused/],
    ['mail', () => ({ SMTP_PORT: '1' }), /smtp:\/\/127\.0\.0\.1:1/],
    ['names', () => ({ BASE_URI: 'https://no-such-host.invalid' }), /no-such-host\.invalid \(/],
    ['addresses', () => ({ UI_URI: `${web.uri}/broken` }), /answers 500/],
    ['runner,clock', () => ({ CUSTOM_CODE_RUNNER_URI: `${web.uri}/late` }), /3[56]\d\d s from/],
];

function notADirectory() {
    const path = join(tempDir(), 'not-a-directory');
    writeFileSync(path, '');
    return path;
}

for (const [names, changes, note] of failures)
    test(`a failure of ${names}: ${note}`, async () => {
        const { code, stdout, stderr } = await preflight(changes(), '--only', names);
        assert.equal(code, 1, stdout + stderr);
        const name = names.split(',').pop();
        assert.equal(result(stdout, name)?.[0], 'FAIL', stdout + stderr);
        assert.match(result(stdout, name)[1], note);
    });

test('a wrong environment is said before anything is tried', async () => {
    const { code, stdout, stderr } = await preflight({ BASE_URI: 'nonsense' });
    assert.equal(code, 78);
    assert.equal(stdout, '');
    assert.match(stderr, /config error: BASE_URI: bad-format/);
});

test('what it does not understand is a usage error', async () => {
    assert.equal((await preflight({}, '--only', 'nonsense')).code, 64);
    assert.equal((await preflight({}, 'nonsense')).code, 64);
    const help = await preflight({}, '--help');
    assert.equal(help.code, 0);
    assert.match(help.stdout, /usage: membrane preflight/);
});

test('migrate makes the collections, and again does nothing', async () => {
    const fresh = serveEnv(tempDir(), await freePort());
    for (let i = 0; i < 2; i++) {
        const { code, stdout, stderr } = await runCommand(['migrate'], fresh);
        assert.equal(code, 0, stderr);
        assert.match(stdout, /^\d+ collections and their indexes are up to date\n$/);
    }
});

test('migrate says why it can not', async () => {
    const bad = {
        ...serveEnv(tempDir(), await freePort()),
        DATA_DIR: notADirectory(),
        STARTUP_TIMEOUT_SECONDS: '1',
    };
    const r = await runCommand(['migrate'], bad);
    assert.ok([75, 78].includes(r.code), String(r.code));
    assert.match(r.stderr, /membrane migrate: /);
    assert.equal((await runCommand(['migrate'], { ...bad, BASE_URI: '' })).code, 78);
    assert.equal((await runCommand(['migrate', 'x'], bad)).code, 64);
    assert.match((await runCommand(['migrate', '--help'], bad)).stdout, /usage: membrane migrate/);
});
