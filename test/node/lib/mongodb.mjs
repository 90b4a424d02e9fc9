// A MongoDB-protocol server for a test: `mongod` where one is installed, else the one that
// scripts/setup puts into .peers.
//
//     const mongo = await startMongo({ durable: true });
//     mongo.uri('db');
//     await mongo.kill(); await mongo.restart(); await mongo.stop();
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { freePort, root, tempDir, until } from './server.mjs';

const START_TIMEOUT_MS = 90_000;
const hasMongod = () => spawnSync('sh', ['-c', 'command -v mongod']).status === 0;

function command(port, dir, durable) {
    if (hasMongod())
        return ['mongod', '--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', dir, '--quiet'];
    const peer = join(root, '.peers/mongodb');
    return [
        'java', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
        '-cp', `${peer}:${peer}/lib/*`, 'MongoPeer', String(port), durable ? join(dir, 'data') : '-',
    ];
}

const listens = (port) =>
    new Promise((done) => {
        const socket = connect(port, '127.0.0.1');
        socket.on('connect', () => (socket.destroy(), done(true)));
        socket.on('error', () => done(false));
    });

export async function startMongo({ durable = false } = {}) {
    const dir = join(tempDir(), 'mongodb');
    const port = await freePort();
    const server = { port, uri: (db) => `mongodb://127.0.0.1:${port}/${db}` };
    mkdirSync(dir);

    const start = async () => {
        const [program, ...args] = command(port, dir, durable);
        const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'] });
        const state = { exited: false };
        // Neither the process nor its pipe keeps the test file alive; it ends with the pipe.
        child.unref();
        child.stdin.unref?.();
        child.stdin.on('error', () => {});
        state.ended = new Promise((done) => child.on('exit', () => ((state.exited = true), done())));
        state.kill = () => child.kill('SIGKILL');
        process.on('exit', state.kill);
        await until(
            () => {
                if (state.exited) throw new Error('the MongoDB-protocol server ended: run scripts/setup');
                return listens(port);
            },
            'the MongoDB-protocol server',
            START_TIMEOUT_MS,
        );
        server.child = state;
    };

    server.restart = start;
    server.kill = async () => {
        server.child.kill();
        await server.child.ended;
    };
    server.stop = server.kill;
    await start();
    return server;
}
