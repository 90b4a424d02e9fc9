// The code runner beside a fresh `node` per job, in one run: node bench/runner/bench_runner.mjs
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { startRunner } from '../../test/node/runner/runner.mjs';

const SECONDS = 5, WARM = 40;
const code = 'export default async ({ items }) => { console.log("x"); return items.map((i) => ({ ...i, uri: new URL(`https://a.example/?id=${i.id}`).href })) }';
const args = { items: Array.from({ length: 50 }, (_, id) => ({ id })) };
const script = `const job = ${code.replace('export default ', '')}; job(${JSON.stringify(args)}).then((r) => process.stdout.write(JSON.stringify(r)))`;
const run = promisify(execFile);

async function latencies(job) {
    const times = [];
    for (let i = 0; i < WARM; i++) {
        const started = performance.now();
        await job();
        times.push(performance.now() - started);
        await new Promise((done) => setTimeout(done, 100));
    }
    times.sort((a, b) => a - b);
    return { p50: times[WARM / 2].toFixed(1), p99: times.at(-1).toFixed(1) };
}

async function rate(job) {
    const end = performance.now() + SECONDS * 1000;
    let n = 0;
    await Promise.all(Array.from({ length: 4 }, async () => {
        for (; performance.now() < end; n++) await job();
    }));
    return (n / SECONDS).toFixed(1);
}

const runner = await startRunner({ ACCESS_LOG: 'false' });
const health = await (await fetch(`${runner.uri}/api/v2/health`)).json();
console.log(`isolation: ${Object.keys(health.isolation).filter((l) => health.isolation[l]).join(' ')}; node ${health.node}`);
for (const [name, job] of [
    ['runner', async () => {
        const { status } = await runner.run(code, args);
        if (status !== 200) throw new Error(`status ${status}`);
    }],
    ['node per job', () => run(process.env.NODE_BIN ?? process.execPath, ['-e', script])],
]) {
    const { p50, p99 } = await latencies(job);
    console.log(`${name.padEnd(14)} p50 ${p50} ms  p99 ${p99} ms  ${await rate(job)} jobs/s`);
}
await runner.stop();
