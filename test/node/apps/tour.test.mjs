// The tour of README.md: the same script against real servers.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { identity, password, startPocketBase } from '../lib/pocketbase.mjs';
import { root, runCommand, startServer, tempDir } from '../lib/server.mjs';

let app, server;

before(async () => {
    [app, server] = await Promise.all([startPocketBase(), startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } })]);
});
after(async () => {
    app?.stop();
    await server?.stop();
});

test('the tour prints what the README says', async () => {
    const env = {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    };
    const upload = await runCommand(['connector', 'upload', join(root, 'connectors/pocketbase')], env);
    assert.equal(upload.code, 0, upload.stderr);
    const dir = tempDir();
    mkdirSync(join(dir, 'tour'));
    cpSync(join(root, 'examples/tour/tour.mjs'), join(dir, 'tour/tour.mjs'));
    symlinkSync(join(root, 'test/node/node_modules'), join(dir, 'node_modules'));
    const child = spawn(process.execPath, [join(dir, 'tour/tour.mjs')], {
        env: { ...process.env, ...env, POCKETBASE_URL: app.uri, POCKETBASE_EMAIL: identity, POCKETBASE_PASSWORD: password },
    });
    let out = '';
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (out += d));
    const code = await new Promise((done) => child.on('close', done));
    assert.equal(code, 0, out);
    assert.equal(
        out,
        'integration "pocketbase" is READY\nconnection "PocketBase" of Ada is connected\nthe action gave { count: 0, users: [] }\n',
    );
});
