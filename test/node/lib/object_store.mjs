// An S3 server for a test (versitygw, installed by scripts/setup): checks signatures, keeps
// buckets as folders.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort, root, tempDir, until } from './server.mjs';

const answers = (port) =>
    new Promise((done) => {
        const socket = connect(port, '127.0.0.1');
        socket.on('connect', () => (socket.destroy(), done(true)));
        socket.on('error', () => done(false));
    });

// {env: what points a server at it, dir(bucket), stop(), start()}; the same port each time.
export async function startObjectStore() {
    const base = tempDir();
    const port = await freePort();
    const buckets = ['membrane-tmp', 'membrane-connectors', 'membrane-static'];
    for (const name of ['meta', ...buckets.map((bucket) => `data/${bucket}`)])
        mkdirSync(join(base, name), { recursive: true });
    let child;
    const store = {
        uri: `http://127.0.0.1:${port}`,
        dir: (bucket) => join(base, 'data', bucket),
        env: {
            AWS_REGION: 'eu-west-1',
            AWS_ACCESS_KEY_ID: 'TESTACCESSKEYID',
            AWS_SECRET_ACCESS_KEY: 'test-secret-of-forty-characters-or-so',
            AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
            TMP_S3_BUCKET: buckets[0], // the older of the two families of names
            CONNECTORS_S3_BUCKET: buckets[1],
            STATIC_S3_BUCKET: buckets[2],
        },
        async start() {
            const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = store.env;
            child = spawn(
                join(root, '.peers/bin/versitygw'),
                ['--access', id, '--secret', secret, '--region', 'eu-west-1', '--port', `127.0.0.1:${port}`,
                    '--quiet', '--keep-alive', 'posix', '--sidecar', join(base, 'meta'), join(base, 'data')],
                { stdio: 'ignore' },
            );
            await until(() => answers(port), 'the object store to answer');
        },
        async stop() {
            const ended = new Promise((done) => child.on('close', done));
            child.kill('SIGKILL');
            await ended;
        },
    };
    process.on('exit', () => child?.kill('SIGKILL'));
    await store.start();
    return store;
}
