// The commands as an operator types them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, runCommand, serveEnv, startService, tempDir } from '../lib/server.mjs';

test('every command explains itself', async () => {
    const { stdout } = await runCommand(['--help']);
    const names = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)].map((m) => m[1]);
    assert.ok(names.includes('up') && names.includes('serve'));
    for (const name of names) {
        const help = await runCommand([name, '--help']);
        assert.equal(help.code, 0, name);
        assert.match(help.stdout, new RegExp(`^usage: membrane ${name}`));
    }
});

test('an unknown command or option is an error with status 64', async () => {
    for (const args of [[], ['fly'], ['up', '--wings'], ['serve', 'extra'], ['routes', 'x'], ['config'], ['config', 'x'],
        ['up', '--port', 'many'], ['up', '--port', '70000'], ['healthcheck', '--path', 'no-slash'], ['version', 'x']]) {
        const { code, stderr } = await runCommand(args);
        assert.equal(code, 64, args.join(' '));
        assert.notEqual(stderr, '');
    }
});

test('version says the same in both forms', async () => {
    const plain = (await runCommand(['version'])).stdout.trim();
    const json = JSON.parse((await runCommand(['version', '--json'])).stdout);
    assert.equal(plain, `membrane ${json.version}`);
});

// S17 S18 S20 S21 S22 S29
test('serve without its variables reports all of them and ends with 78', async () => {
    const { code, stderr } = await runCommand(['serve']);
    assert.equal(code, 78);
    for (const name of ['BASE_URI', 'CUSTOM_CODE_RUNNER_URI', 'SECRET', 'ENCRYPTION_SECRET', 'MONGO_URI', 'REDIS_URI'])
        assert.match(stderr, new RegExp(`^config error: ${name}: missing: `, 'm'));
});

// S139
test('config check says what serve would say', async () => {
    const env = serveEnv(tempDir(), 5000);
    assert.equal((await runCommand(['config', 'check'], env)).code, 0);
    const bad = await runCommand(['config', 'check', '--json'], { ...env, PORT: 'abc', KEEPALIVE_TIMEOUT_MS: '5000' });
    assert.equal(bad.code, 78);
    const report = JSON.parse(bad.stdout);
    assert.deepEqual(report.errors.map((e) => [e.name, e.code]), [['PORT', 'bad-format']]);
    assert.deepEqual(report.warnings.map((w) => w.name), ['KEEPALIVE_TIMEOUT_MS']);
});

test('config dump hides secrets', async () => {
    const env = serveEnv(tempDir(), 5000);
    const { stdout } = await runCommand(['config', 'dump', '--masked'], env);
    assert.match(stdout, /^SECRET=\*\*\* \(32 bytes\)$/m);
    assert.ok(!stdout.includes(env.SECRET) && !stdout.includes(env.ENCRYPTION_SECRET));
});

// S21: never two keys over one database
test('a start with another ENCRYPTION_SECRET is refused with 78', async () => {
    const dataDir = tempDir();
    const env = serveEnv(dataDir, await freePort());
    await (await startService('serve', env)).stop();
    const { code, stderr } = await runCommand(['serve'], {
        ...env,
        ENCRYPTION_SECRET: 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fX',
    });
    assert.equal(code, 78);
    assert.match(stderr, /ENCRYPTION_SECRET/);
});

test('routes are METHOD /path lines', async () => {
    const { stdout } = await runCommand(['routes']);
    const lines = stdout.trim().split('\n');
    for (const line of lines) assert.match(line, /^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) \/\S*$/);
    for (const line of ['GET /', 'GET /livez', 'GET /readyz', 'GET /prometheus']) assert.ok(lines.includes(line), line);
    assert.equal(new Set(lines).size, lines.length);
});

test('healthcheck needs no curl in the image', async () => {
    const port = await freePort();
    const env = serveEnv(tempDir(), port);
    assert.equal((await runCommand(['healthcheck'], env)).code, 1);
    const service = await startService('serve', env);
    assert.equal((await runCommand(['healthcheck'], env)).code, 0);
    assert.equal((await runCommand(['healthcheck', '--port', String(port), '--path', '/nope'])).code, 1);
    await service.stop();
});
