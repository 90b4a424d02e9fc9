// The server on cloud storage: files, static files and connectors go to the buckets; an outage is
// said clearly, shows in readiness, and ends without a restart. S136, S150.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { startObjectStore } from './lib/object_store.mjs';
import { root, runCommand, startServer, until } from './lib/server.mjs';

let store, server, authorization;

before(async () => {
    store = await startObjectStore();
    server = await startServer({
        env: { ...store.env, BASE_STATIC_URI: 'https://static.example.com/files' },
    });
    const r = await runCommand(['token', '--customer', 'ada'], {
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    authorization = `Bearer ${r.stdout.trim()}`;
});
after(async () => {
    await server.stop();
    await store.stop();
});

const upload = (body) =>
    fetch(`${server.apiUri}/files?name=a.bin`, { method: 'POST', headers: { authorization }, body });
const readiness = async () => {
    const r = await fetch(`${server.apiUri}/readyz?verbose=1`);
    return { status: r.status, checks: (await r.json()).checks };
};

test('the log says where objects go, and whose credentials are used', () => {
    const line = server.log().find((l) => l.msg === 'object storage');
    assert.equal(line?.store, 'S3 with the credentials of TESTACCESSKEYID (environment)');
    assert.ok(!server.stderr.includes('test-secret-of-forty'));
});

test('an uploaded file is behind an address that the bucket itself serves', async () => {
    const bytes = new Uint8Array(300_000).map((_, i) => i % 251);
    const { uri } = await (await upload(bytes)).json();
    assert.ok(uri.startsWith(`${store.uri}/membrane-tmp/files/`), uri);
    const r = await fetch(uri);
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-disposition'), 'attachment');
    assert.deepEqual(new Uint8Array(await r.arrayBuffer()), bytes);
});

test('static files are found at their public address', async () => {
    const r = await fetch(`${server.apiUri}/static/connectors/x/logo%20a.png`, { redirect: 'manual' });
    assert.equal(r.status, 302);
    assert.equal(r.headers.get('location'), 'https://static.example.com/files/connectors/x/logo%20a.png');
});

test('a connector is kept in its bucket', async () => {
    const r = await runCommand(['connector', 'upload', join(root, 'connectors/pocketbase')], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
    assert.notEqual(readdirSync(store.dir('membrane-connectors')).length, 0);
});

test('an outage is a clear error and shows in readiness; the end of it is noticed', async () => {
    assert.equal((await readiness()).status, 200);
    await store.stop();
    const down = await readiness();
    assert.equal(down.status, 503);
    assert.match(down.checks.find((c) => c.name === 'objects').message, /S3 can't be reached/);
    assert.equal((await fetch(server.apiUri + '/')).status, 200); // health is not readiness
    const refused = await upload(new Uint8Array(10));
    assert.equal(refused.status, 503);
    assert.equal((await refused.json()).key, 'unavailable');
    await store.start();
    await until(async () => (await readiness()).status === 200, 'the store to be seen again');
    assert.equal((await upload(new Uint8Array(10))).status, 200);
});
