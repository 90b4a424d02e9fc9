// POST /files and the links it gives.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { runCommand, startServer } from '../lib/server.mjs';

let server, authorization;

before(async () => {
    server = await startServer();
    const r = await runCommand(['token', '--customer', 'ada'], {
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    authorization = `Bearer ${r.stdout.trim()}`;
});
after(() => server.stop());

async function upload(body, type, query = '') {
    const r = await fetch(`${server.apiUri}/files${query}`, {
        method: 'POST',
        headers: { authorization, ...(type && { 'content-type': type }) },
        body,
    });
    return { status: r.status, body: await r.json() };
}

test('uploaded bytes come back by the link, as a download', async () => {
    const bytes = new Uint8Array(100_000).map((_, i) => i % 251);
    const { status, body } = await upload(bytes, 'image/png', '?name=a%20b.png');
    assert.equal(status, 200);
    assert.equal(body.uri, body.downloadUri);
    const r = await fetch(body.downloadUri);
    assert.equal(r.status, 200);
    assert.equal(r.headers.get('content-type'), 'image/png');
    assert.match(r.headers.get('content-disposition'), /attachment/);
    assert.equal(r.headers.get('x-content-type-options'), 'nosniff');
    assert.deepEqual(new Uint8Array(await r.arrayBuffer()), bytes);
});

test('a form with a file works like the bytes alone', async () => {
    const form = new FormData();
    form.set('file', new Blob(['hello'], { type: 'text/plain' }), 'x.txt');
    const { body } = await upload(form);
    assert.equal(await (await fetch(body.uri)).text(), 'hello');
});

test('a link is good for its file alone, and cannot be changed', async () => {
    const a = (await upload('a', 'text/plain')).body.uri;
    const b = new URL((await upload('b', 'text/plain')).body.uri);
    const mixed = new URL(a);
    mixed.pathname = b.pathname;
    for (const uri of [
        mixed,
        a.replace(/signature=../, 'signature=00'),
        a.replace(/expires=\d+/, 'expires=99999999999'),
        a.split('?')[0],
        `${server.apiUri}/files/connectors/x?expires=1&signature=2`,
    ])
        assert.equal((await fetch(uri)).status, 403, String(uri));
    assert.equal((await fetch(a)).status, 200);
});

test('nothing outside of the static bucket is served', async () => {
    for (const path of ['/static/../membrane.db', '/static/%2e%2e/membrane.db', '/static/nope', '/static/'])
        assert.equal((await fetch(server.apiUri + path)).status, 404, path);
    assert.equal((await fetch(`${server.apiUri}/files`, { method: 'POST', body: 'x' })).status, 401);
});
