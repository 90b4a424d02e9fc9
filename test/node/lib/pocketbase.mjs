// Starts a real PocketBase (a backend with a REST API that this project did not write) on a
// free port with one superuser and one collection.
import { spawn, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { freePort, root, tempDir, until } from './server.mjs';

const binary = join(root, '.peers/bin/pocketbase');
export const identity = 'admin@example.com';
export const password = 'correct horse battery';

export async function startPocketBase() {
    if (!existsSync(binary)) throw new Error(`${binary} is missing: run scripts/setup`);
    const dir = tempDir();
    const port = await freePort();
    const uri = `http://127.0.0.1:${port}`;
    const run = (...args) =>
        execFileSync(binary, [...args, '--dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] });

    run('superuser', 'upsert', identity, password);
    const child = spawn(binary, ['serve', `--http=127.0.0.1:${port}`, '--dir', dir], { stdio: 'ignore' });
    process.on('exit', () => child.kill('SIGKILL'));
    await until(() => fetch(`${uri}/api/health`).then((r) => r.ok, () => false), 'PocketBase');

    const login = async () => {
        const r = await fetch(`${uri}/api/collections/_superusers/auth-with-password`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ identity, password }),
        });
        return (await r.json()).token;
    };
    // A call as the superuser, to look at what the application really holds.
    const call = async (method, path, body) => {
        const r = await fetch(uri + path, {
            method,
            headers: { Authorization: await login(), 'Content-Type': 'application/json' },
            body: body && JSON.stringify(body),
        });
        const text = await r.text();
        return { status: r.status, body: text ? JSON.parse(text) : undefined };
    };
    await call('POST', '/api/collections', {
        name: 'tasks',
        type: 'base',
        fields: [
            { name: 'title', type: 'text', required: true },
            { name: 'done', type: 'bool' },
        ],
    });
    return {
        uri,
        call,
        // Setting the password anew ends every token that was given before.
        endAllTokens: () => run('superuser', 'upsert', identity, password),
        stop: () => child.kill('SIGKILL'),
    };
}
