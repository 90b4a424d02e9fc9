// Starts a real Synapse (the reference home server of Matrix, which this project did not
// write) on a free port with one account. Access tokens end after two seconds, so that
// renewing them is part of every longer test.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort, root, tempDir, until } from './server.mjs';

const python = join(root, '.peers/bin/python');
export const user = 'ada';
export const password = 'correct horse battery';

export async function startSynapse() {
    if (!existsSync(join(root, '.peers/bin/register_new_matrix_user'))) throw new Error('Synapse is missing: run scripts/setup');
    const dir = tempDir();
    const port = await freePort();
    const uri = `http://127.0.0.1:${port}`;
    const many = { per_second: 10000, burst_count: 10000 };
    const config = {
        server_name: 'test.local',
        listeners: [{ port, bind_addresses: ['127.0.0.1'], type: 'http', tls: false, resources: [{ names: ['client'], compress: false }] }],
        database: { name: 'sqlite3', args: { database: join(dir, 'homeserver.db') } },
        log_config: join(dir, 'log.yaml'),
        media_store_path: join(dir, 'media'),
        pid_file: join(dir, 'pid'),
        signing_key_path: join(dir, 'signing.key'),
        registration_shared_secret: 'registration',
        macaroon_secret_key: 'macaroon',
        form_secret: 'form',
        report_stats: false,
        trusted_key_servers: [],
        refreshable_access_token_lifetime: '2s',
        rc_message: many,
        rc_login: { address: many, account: many, failed_attempts: many },
    };
    writeFileSync(join(dir, 'homeserver.yaml'), JSON.stringify(config)); // JSON is YAML
    writeFileSync(join(dir, 'log.yaml'), JSON.stringify({ version: 1, root: { level: 'ERROR' } }));
    const args = ['-m', 'synapse.app.homeserver', '-c', join(dir, 'homeserver.yaml')];
    execFileSync(python, [...args, '--generate-keys'], { stdio: 'pipe' });
    const child = spawn(python, args, { stdio: 'ignore', cwd: dir });
    process.on('exit', () => child.kill('SIGKILL'));
    await until(() => fetch(`${uri}/health`).then((r) => r.ok, () => false), 'Synapse', 90_000);
    execFileSync(join(root, '.peers/bin/register_new_matrix_user'), ['-u', user, '-p', password, '-a', '-k', 'registration', uri], { stdio: 'pipe' });

    const login = async () => {
        const r = await fetch(`${uri}/_matrix/client/v3/login`, {
            method: 'POST',
            body: JSON.stringify({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, refresh_token: true }),
        });
        return (await r.json()).access_token;
    };
    // A call with a token of its own, to look at what the server really holds.
    const call = async (method, path, body, token) => {
        const r = await fetch(`${uri}/_matrix/client/v3${path}`, {
            method,
            headers: { Authorization: `Bearer ${token ?? (await login())}` },
            body: body && JSON.stringify(body),
        });
        return { status: r.status, body: await r.json() };
    };
    return {
        uri,
        call,
        // When it gives, every token that was given before has ended.
        async allTokensEnd() {
            const token = await login();
            await until(async () => (await call('GET', '/account/whoami', undefined, token)).status === 401, 'the end of a token');
        },
        stop: () => child.kill('SIGKILL'),
    };
}
