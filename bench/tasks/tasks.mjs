// Tasks per second and latency: the embedded queue (each commit synced) and BullMQ on a
// redis-server (AOF everysec) in turn, in one run.
//
//     ninja -C build bench/tasks/bench_tasks && (cd bench/tasks && npm ci) && node bench/tasks/tasks.mjs
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue, Worker } from 'bullmq';

const TASKS = Number(process.env.TASKS ?? 20000);
const ours = (...args) => JSON.parse(execFileSync('build/bench/tasks/bench_tasks', args.map(String), { encoding: 'utf8' }));

const port = await new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => done(port));
    });
});
const dir = mkdtempSync(join(tmpdir(), 'bench-redis-'));
const redis = spawn('redis-server', ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--appendonly', 'yes', '--save', ''], { stdio: 'ignore' });
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };

async function bullThroughput(workers) {
    const queue = new Queue(`t${workers}`, { connection });
    let done = 0;
    const start = performance.now();
    const running = Array.from({ length: workers }, () =>
        new Worker(queue.name, async () => { done++; }, { connection, concurrency: 1 }));
    for (let i = 0; i < TASKS; i += 1000)
        await queue.addBulk(Array.from({ length: 1000 }, () => ({ name: 'work', data: {}, opts: { removeOnComplete: true } })));
    while (done < TASKS) await new Promise((next) => setTimeout(next, 1));
    const perSecond = Math.round((TASKS * 1000) / (performance.now() - start));
    await Promise.all(running.map((w) => w.close()));
    await queue.close();
    return { what: 'BullMQ throughput', workers, tasks: TASKS, perSecond };
}

async function bullLatency(n) {
    const queue = new Queue('latency', { connection });
    let seen;
    const worker = new Worker(queue.name, async () => seen(performance.now()), { connection, concurrency: 1 });
    await worker.waitUntilReady();
    const ms = [];
    for (let i = 0; i < n; i++) {
        const start = performance.now();
        const at = new Promise((done) => (seen = done));
        await queue.add('work', {}, { removeOnComplete: true });
        ms.push((await at) - start);
    }
    await worker.close();
    await queue.close();
    ms.sort((a, b) => a - b);
    return { what: 'BullMQ latency', p50Ms: +ms[n >> 1].toFixed(3), p99Ms: +ms[Math.floor(n * 0.99)].toFixed(3) };
}

try {
    for (const workers of [1, 8]) {
        console.log(ours('throughput', workers, TASKS));
        console.log(await bullThroughput(workers));
    }
    console.log(ours('latency', 1000));
    console.log(await bullLatency(1000));
    console.log(ours('fairness'));
    console.log(ours('schedules', 20));
} finally {
    redis.kill();
    rmSync(dir, { recursive: true, force: true });
}
