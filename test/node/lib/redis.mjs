// A real redis-server on a free port, ended by its process id.
import { spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { freePort, tempDir, until } from './server.mjs';

// One inline command on a connection of its own; gives the answer's text.
export function say(port, command) {
    return new Promise((done, fail) => {
        let text = '';
        const socket = createConnection(port, '127.0.0.1', () => socket.write(command + '\r\nQUIT\r\n'));
        socket.on('data', (data) => (text += data));
        socket.on('error', fail);
        socket.on('close', () => done(text));
    });
}

export async function startRedis(args = [], port = undefined) {
    const redis = { port: port ?? (await freePort()) };
    const dir = tempDir();
    redis.start = async () => {
        const base = ['--port', String(redis.port), '--bind', '127.0.0.1', '--save', '', '--dir', dir];
        const child = spawn('redis-server', [...base, ...args], { stdio: 'ignore' });
        const ended = new Promise((done) => child.on('close', done));
        process.on('exit', () => child.kill('SIGKILL'));
        redis.kill = () => {
            child.kill('SIGKILL');
            return ended;
        };
        await until(() => say(redis.port, 'PING').then((t) => /PONG|NOAUTH/.test(t), () => false), 'redis-server');
    };
    redis.say = (command) => say(redis.port, command);
    await redis.start();
    return redis;
}

// A cluster of one node: it speaks as any cluster does.
export async function startCluster() {
    const bus = await freePort();
    const redis = await startRedis(['--cluster-enabled', 'yes', '--cluster-port', String(bus)]);
    await redis.say('CLUSTER ADDSLOTSRANGE 0 16383');
    await until(async () => (await redis.say('CLUSTER INFO')).includes('cluster_state:ok'), 'the cluster');
    return redis;
}
