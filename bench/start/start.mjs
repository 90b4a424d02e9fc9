// Starts `membrane up` on a fresh directory, then once more on its data, RUNS times:
// milliseconds from the start of the executable to the first 200 on GET /, and the memory
// of its processes at rest. The peer is Node's own HTTP server answering the same bytes,
// started the same way.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { binary, cleanEnv, freePort } from '../../test/node/lib/server.mjs';

const RUNS = Number(process.env.RUNS ?? 10);
const peer = `require('http').createServer((q, r) => r.end('{"status":"ok"}')).listen(process.argv[1], '127.0.0.1')`;

// Asks again without a pause until an answer begins with 200.
function ask(port) {
    return new Promise((done) => {
        const attempt = () => {
            const socket = net.connect(port, '127.0.0.1');
            socket.on('connect', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
            socket.on('data', (data) => {
                socket.destroy();
                if (data.toString().startsWith('HTTP/1.1 200')) done();
                else attempt();
            });
            socket.on('error', () => setTimeout(attempt, 1));
        };
        attempt();
    });
}

const children = (pid) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

function memory(pid) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const kb = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)[1]);
    return { rss: kb('Rss') / 1024, pss: kb('Pss') / 1024 };
}

async function measure(command, args, port) {
    const start = performance.now();
    const child = spawn(command, args, { env: cleanEnv(), stdio: ['ignore', 'ignore', 'inherit'] });
    const ended = new Promise((done) => child.on('exit', done));
    await Promise.race([ask(port), ended.then(() => Promise.reject(new Error(`${command} ended`)))]);
    const ms = performance.now() - start;
    await new Promise((done) => setTimeout(done, 300)); // at rest
    const all = [child.pid, ...children(child.pid)].map(memory);
    child.kill('SIGTERM');
    await ended;
    return { ms, rss: Math.max(...all.map((m) => m.rss)), pss: all.reduce((n, m) => n + m.pss, 0) };
}

function report(name, results) {
    const median = (key) => results.map((r) => r[key]).sort((a, b) => a - b)[results.length >> 1];
    const worst = Math.max(...results.map((r) => r.ms));
    console.log(
        `${name.padEnd(14)} first 200: median ${median('ms').toFixed(0)} ms, worst ${worst.toFixed(0)} ms; ` +
            `largest process ${median('rss').toFixed(1)} MB resident, all ${median('pss').toFixed(1)} MB proportional`,
    );
}

const ours = [], again = [], theirs = [];
for (let i = 0; i < RUNS; i++) {
    const dir = mkdtempSync(join(tmpdir(), 'membrane-bench-'));
    let port = 12000 + Math.floor(Math.random() * 4000) * 4; // four below the kernel's own range
    ours.push(await measure(binary, ['up', '--data', dir, '--port', String(port)], port));
    again.push(await measure(binary, ['up', '--data', dir, '--port', String(port)], port));
    rmSync(dir, { recursive: true });
    port = await freePort();
    theirs.push(await measure(process.execPath, ['-e', peer, String(port)], port));
}
report('membrane up', ours);
report('on its data', again);
report('node http', theirs);
