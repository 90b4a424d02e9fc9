// A core process is what its environment says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, launch, serveEnv, startService, tempDir, until } from '../lib/server.mjs';

async function withService(command, env, fn) {
    const service = await startService(command, env);
    try {
        await fn(service);
    } finally {
        await service.stop();
    }
}

const apiRoute = '/customer';

// S15 S59 S145 S158: also without any mode variable
for (const flag of [{}, { IS_API: '1' }]) {
    test(`${JSON.stringify(flag)} is the API`, async () => {
        const env = { ...serveEnv(tempDir(), await freePort()), ...flag };
        await withService('serve', env, async ({ uri }) => {
            assert.equal((await (await fetch(uri + '/')).json()).service, 'api');
            assert.equal((await fetch(uri + apiRoute)).status, 401);
            const metrics = await fetch(uri + '/prometheus');
            assert.equal(metrics.status, 200);
            assert.match(metrics.headers.get('content-type'), /^text\/plain; version=0.0.4/);
            assert.match(await metrics.text(), /^build_info\{version="/m);
        });
    });
}

// S15 S63 S64 S69 S72 S73 S79 S84 S85 S88 S92 S166: the API's environment, flag swapped
for (const [flag, service, health] of [
    ['IS_INSTANT_TASKS_WORKER', 'instant-worker', '/'],
    ['IS_QUEUED_TASKS_WORKER', 'queued-worker', '/prometheus/queued-tasks'],
    ['IS_ORCHESTRATOR', 'orchestrator', '/'],
]) {
    test(`${flag}=1 answers health and no business route`, async () => {
        const env = { ...serveEnv(tempDir(), await freePort()), [flag]: '1' };
        await withService('serve', env, async ({ uri }) => {
            assert.equal((await (await fetch(uri + '/')).json()).service, service);
            assert.equal((await fetch(uri + health)).status, 200);
            assert.equal((await fetch(uri + '/readyz')).status, 200);
            assert.equal((await fetch(uri + '/prometheus')).status, 200);
            assert.equal((await fetch(uri + apiRoute)).status, 404);
        });
    });
}

// S167
test('an idle queued worker reports itself not busy', async () => {
    const env = { ...serveEnv(tempDir(), await freePort()), IS_QUEUED_TASKS_WORKER: '1' };
    await withService('serve', env, async ({ uri }) => {
        assert.match(await (await fetch(uri + '/prometheus/queued-tasks')).text(), /^queued_tasks_worker_busy 0$/m);
    });
});

test('several roles live in one process', async () => {
    const env = {
        ...serveEnv(tempDir(), await freePort()),
        IS_API: '1',
        IS_QUEUED_TASKS_WORKER: '1',
        IS_ORCHESTRATOR: 'true',
    };
    await withService('serve', env, async ({ uri }) => {
        assert.equal((await fetch(uri + apiRoute)).status, 401);
        assert.equal((await fetch(uri + '/prometheus/queued-tasks')).status, 200);
    });
});

// S6 S100: two API processes on one database
test('two API processes share one data directory', async () => {
    const dataDir = tempDir();
    const [a, b] = await Promise.all([freePort(), freePort()]);
    await withService('serve', serveEnv(dataDir, a), async (first) => {
        await withService('serve', serveEnv(dataDir, b), async (second) => {
            for (const { uri } of [first, second])
                assert.equal((await fetch(uri + '/readyz')).status, 200);
        });
    });
});

// S95 S96 S103 S112: UI and console start from their own variables alone
test('ui and console need no core variable', async () => {
    const [ui, console_] = await Promise.all([freePort(), freePort()]);
    await withService('ui', { PORT: String(ui), SHUTDOWN_DRAIN_DELAY_SECONDS: '0', NEXT_PUBLIC_ENGINE_URI: 'https://api.a.test/' }, async ({ uri }) => {
        assert.equal((await (await fetch(uri + '/config.json')).json()).apiUri, 'https://api.a.test');
        assert.equal((await fetch(uri + '/prometheus')).status, 200);
    });
    const env = {
        PORT: String(console_),
        SHUTDOWN_DRAIN_DELAY_SECONDS: '0',
        NEXT_PUBLIC_BASE_URI: 'https://console.a.test',
        NEXT_PUBLIC_ENGINE_API_URI: 'https://api.a.test',
        NEXT_PUBLIC_ENGINE_UI_URI: 'https://ui.a.test',
        NEXT_PUBLIC_AUTH0_DOMAIN: 'login.a.test',
        NEXT_PUBLIC_AUTH0_CLIENT_ID: 'client',
        NEXT_PUBLIC_ENABLE_LIMITS: 'true',
    };
    await withService('console', env, async ({ uri }) => {
        const config = await (await fetch(uri + '/config.json')).json();
        assert.equal(config.auth0Domain, 'login.a.test');
        assert.equal(config.auth0ClientId, 'client');
        assert.equal(config.enableLimits, true);
        assert.equal((await fetch(uri + '/')).status, 200);
    });
});

test('metrics can have a token', async () => {
    const env = { ...serveEnv(tempDir(), await freePort()), METRICS_TOKEN: 'tell-me' };
    await withService('serve', env, async ({ uri }) => {
        const get = (authorization) =>
            fetch(uri + '/prometheus', { headers: authorization ? { authorization } : {} }).then((r) => r.status);
        assert.equal(await get(), 401);
        assert.equal(await get('Bearer wrong'), 401);
        assert.equal(await get('Bearer tell-me'), 200);
    });
});

test('metrics can have a port of their own', async () => {
    const [port, metricsPort] = await Promise.all([freePort(), freePort()]);
    const env = { ...serveEnv(tempDir(), port), METRICS_PORT: String(metricsPort) };
    await withService('serve', env, async ({ uri }) => {
        assert.equal((await fetch(uri + '/prometheus')).status, 404);
        assert.equal((await fetch(`http://127.0.0.1:${metricsPort}/prometheus`)).status, 200);
        assert.equal((await fetch(`http://127.0.0.1:${metricsPort}${apiRoute}`)).status, 404);
    });
});

test('requests are counted by route, not by path', async () => {
    await withService('serve', serveEnv(tempDir(), await freePort()), async ({ uri }) => {
        for (let i = 0; i < 3; i++) await fetch(`${uri}/made-up-${i}`);
        const text = await until(async () => {
            const t = await (await fetch(uri + '/prometheus')).text();
            return /route="\(none\)",code="404"\} 3$/m.test(t) && t;
        }, 'three counted requests');
        assert.doesNotMatch(text, /made-up/);
    });
});

// S168 S169: more lines, no secret
test('DEBUG_ALL shows more, LOG_LEVEL less, and no log shows a secret', async () => {
    const lines = {};
    for (const [name, extra] of [['debug', { DEBUG_ALL: '1' }], ['error', { LOG_LEVEL: 'error' }]]) {
        const env = { ...serveEnv(tempDir(), await freePort()), ...extra };
        const service = await startService('serve', env);
        await fetch(service.uri + apiRoute, { headers: { authorization: 'Bearer very-secret-token' } });
        await service.stop();
        lines[name] = service.log().length;
        assert.doesNotMatch(service.stderr, /very-secret-token/);
        assert.ok(!service.stderr.includes(env.SECRET) && !service.stderr.includes(env.ENCRYPTION_SECRET));
    }
    assert.ok(lines.debug > 3);
    assert.equal(lines.error, 0);
});

test('log lines are JSON off a terminal, text when asked for', async () => {
    const json = await startService('serve', serveEnv(tempDir(), await freePort()));
    await json.stop();
    const ready = json.log().find((line) => line.msg === 'ready');
    assert.equal(ready.level, 'info');
    assert.equal(ready.service, 'api');
    assert.match(ready.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const text = await startService('serve', { ...serveEnv(tempDir(), await freePort()), LOG_FORMAT: 'text' });
    await text.stop();
    assert.match(text.stderr, /^\S+Z INFO api ready version=/m);
});

// S19 S96: a port in use is no configuration error
test('a port in use ends the process with 75', async () => {
    const port = await freePort();
    await withService('serve', serveEnv(tempDir(), port), async () => {
        const other = launch(['serve'], serveEnv(tempDir(), port));
        assert.equal((await other.ended).code, 75);
    });
});
