// The code runner beside a fresh `node` per job and beside worker threads, in one run:
//
//     node bench/runner/bench_runner.mjs [seconds a measurement]
//
// Latency is taken one job at a time with a pause between them; the rate with four at once.
// The load comes from this process, on the same cores.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { request, Agent } from 'node:http';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

import { startRunner } from '../../test/node/runner/runner.mjs';

const SECONDS = Number(process.argv[2] ?? 5), PARALLEL = 4;
const code = 'export default async ({ items }) => { console.log("x"); return items.map((i) => ({ ...i, uri: new URL(`https://a.example/?id=${i.id}`).href })) }';
const args = { items: Array.from({ length: 50 }, (_, id) => ({ id })) };
const script = `const job = ${code.replace('export default ', '')}; job(${JSON.stringify(args)}).then((r) => process.stdout.write(JSON.stringify(r)))`;
const inWorker = `const { parentPort, workerData } = require('worker_threads'); console.log = () => {}; const job = ${code.replace('export default ', '')}; job(workerData).then((r) => parentPort.postMessage(r))`;
const run = promisify(execFile);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL });
function post(uri, body) {
    return new Promise((done, fail) => {
        const rq = request(uri, { method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Content-Length': body.length } }, (rp) => {
            rp.resume().on('end', () => (rp.statusCode === 200 ? done() : fail(new Error(`status ${rp.statusCode}`))));
        });
        rq.on('error', fail).end(body);
    });
}

async function latencies(job, ms) {
    const times = [];
    for (let i = 0; i < 5; i++) await job();
    for (const end = performance.now() + SECONDS * 1000; performance.now() < end; ) {
        const started = performance.now();
        await job();
        times.push(performance.now() - started);
        await pause(ms);
    }
    times.sort((a, b) => a - b);
    return { p50: at(times, 0.5), p95: at(times, 0.95), p99: at(times, 0.99) };
}

async function rate(job) {
    const end = performance.now() + SECONDS * 1000;
    let n = 0;
    await Promise.all(Array.from({ length: PARALLEL }, async () => {
        for (; performance.now() < end; n++) await job();
    }));
    return n / SECONDS;
}

// {pss, dirty}: what a waiting process costs, of a list of processes, in MB.
function memory(pids) {
    const mb = (name, text) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? NaN) / 1024;
    const all = pids.map((pid) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return { pss: all.reduce((n, t) => n + mb('Pss', t), 0) / all.length, dirty: all.reduce((n, t) => n + mb('Private_Dirty', t), 0) / all.length };
}
const childrenOf = (pid) => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((name) => {
    try {
        return Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[1]) === Number(pid);
    } catch {
        return false;
    }
});

async function runnerRow(name, env) {
    const started = performance.now();
    const runner = await startRunner({ ACCESS_LOG: 'false', LOG_LEVEL: 'warn', ...env });
    const body = Buffer.from(JSON.stringify({ code, arguments: args }));
    const job = () => post(`${runner.uri}/api/v2/run`, body);
    await job();
    const first = performance.now() - started;
    const health = await (await fetch(`${runner.uri}/api/v2/health`)).json();
    const measured = { ...(await latencies(job, 20)), rate: await rate(job) };
    await pause(500);
    if (health.mode === 'zygote') {
        const [zygote] = childrenOf(runner.pid);
        measured.zygote = memory([zygote]);
        measured.idle = memory(childrenOf(zygote));
    }
    await runner.stop();
    return { name, first, note: `node ${health.node}; ${Object.keys(health.isolation).filter((l) => health.isolation[l]).join(' ')}`, ...measured };
}

const node = process.env.NODE_BIN ?? process.execPath;
const rows = [
    await runnerRow('runner', {}),
    await runnerRow('runner, RUNNER_MODE=process', { RUNNER_MODE: 'process' }),
];
for (const [name, job] of [
    ['fresh node, no isolation', () => run(node, ['-e', script])],
    ['worker thread, no isolation', () => new Promise((done, fail) => new Worker(inWorker, { eval: true, workerData: args }).on('message', done).on('error', fail))],
])
    rows.push({ name, ...(await latencies(job, 20)), rate: await rate(job) });
for (const r of rows) {
    console.log(`${r.name.padEnd(30)} p50 ${r.p50.toFixed(1)}  p95 ${r.p95.toFixed(1)}  p99 ${r.p99.toFixed(1)} ms  ${r.rate.toFixed(0)} jobs/s` + (r.first ? `  first answer after ${r.first.toFixed(0)} ms` : ''));
    if (r.note) console.log(`    ${r.note}`);
    if (r.idle) console.log(`    zygote ${r.zygote.pss.toFixed(1)} MB PSS; a waiting process ${r.idle.pss.toFixed(1)} MB PSS, ${r.idle.dirty.toFixed(1)} MB its own`);
}
