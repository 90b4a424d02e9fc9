// The API beside its peers: nginx serving the same bytes, and Fastify doing the same look-up
// and the same upstream call. Servers run on core 0, one at a time under load; wrk and the
// upstream on core 1. Besides requests per second it reports the server's CPU time per
// request, which other work on the machine disturbs less.
//
//   make build && (cd bench/api && npm ci) && node bench/api/bench_api.mjs
//
// BENCH_ONLY=runs leaves out the reads and the flood; PERF=file records the core under 16 clients.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const binary = process.env.MEMBRANE_BIN ?? join(here, '../../build/membrane');
const seconds = Number(process.env.BENCH_SECONDS ?? 3);
const dir = mkdtempSync(join(tmpdir(), 'bench-api-'));
const children = [];
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function start(args, options = {}) {
    const child = spawn('taskset', args, { stdio: ['ignore', 'ignore', 'ignore'], ...options });
    children.push(child);
    return child;
}
async function until(fn) {
    for (let i = 0; i < 400; i++) {
        try {
            if (await fn()) return;
        } catch {}
        await sleep(25);
    }
    throw new Error('a server did not start');
}
// All processes below pid.
function tree(pid) {
    const kids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    return [pid, ...kids.flatMap((k) => tree(Number(k)))];
}
const cpuMs = (pid) =>
    tree(pid).reduce((sum, p) => {
        const f = readFileSync(`/proc/${p}/stat`, 'utf8').split(') ')[1].split(' ');
        return sum + (Number(f[11]) + Number(f[12])) * 10;
    }, 0);
const rssMb = (pid) =>
    tree(pid).reduce((sum, p) => {
        const m = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${p}/smaps_rollup`, 'utf8'));
        return sum + Number(m?.[1] ?? 0) / 1024;
    }, 0);

function nginx(name, port, core, body) {
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((p) => `${p}_temp_path ${dir}/${name}-${p};`).join(' ');
    mkdirSync(`${dir}/${name}`);
    writeFileSync(`${dir}/${name}/body.json`, body);
    // Small bodies stand in the configuration, larger ones in a file that stays open.
    const answer = body.length < 3000
        ? `return 200 '${body.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('$', '_')}';`
        : `root ${dir}/${name}; try_files /body.json =404;`;
    writeFileSync(`${dir}/${name}.conf`, `user root; worker_processes 1; daemon off; master_process off; pid ${dir}/${name}.pid; error_log ${dir}/${name}.error;
events { worker_connections 12000; }
http { access_log off; sendfile on; tcp_nopush on; open_file_cache max=10; keepalive_requests 100000000; ${paths} default_type application/json;
  server { listen 127.0.0.1:${port} backlog=8192; location / { ${answer} } } }`);
    return start(['-c', core, 'nginx', '-p', dir, '-c', `${dir}/${name}.conf`]);
}

function wrk(url, { connections = 64, script, headers = [], duration = seconds } = {}) {
    const out = execFileSync('taskset', ['-c', '1', 'wrk', '-t1', `-c${connections}`, `-d${duration}s`, '--timeout', '30s', '--latency',
        ...headers.flatMap((h) => ['-H', h]), ...(script ? ['-s', script] : []), url], { encoding: 'utf8' });
    const ms = (text) => {
        const [, n, unit] = /([\d.]+)(us|ms|s)/.exec(text);
        return Number(n) * { us: 0.001, ms: 1, s: 1000 }[unit];
    };
    return {
        n: Number(/(\d+) requests in/.exec(out)[1]),
        bad: Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0),
        rps: Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]),
        p50: ms(/^\s+50%\s+(\S+)/m.exec(out)[1]),
        p99: ms(/^\s+99%\s+(\S+)/m.exec(out)[1]),
    };
}
const row = (name, r, cpu, mem) =>
    console.log(`| ${name} | ${Math.round(r.rps)} | ${r.p50.toFixed(2)} | ${r.p99.toFixed(2)} | ${cpu === undefined ? '' : ((cpu * 1000) / r.n).toFixed(1)} | ${mem === undefined ? '' : mem.toFixed(0)} |${r.bad ? ` ${r.bad} BAD` : ''}`);
function measure(name, pid, url, options) {
    wrk(url, { ...options, duration: 1 });
    const before = cpuMs(pid);
    const r = wrk(url, options);
    row(name, r, cpuMs(pid) - before, rssMb(pid));
    return r;
}
const head = (title) => console.log(`\n${title}\n\n| | requests/s | p50 ms | p99 ms | CPU us/request | memory MB |\n|---|---|---|---|---|---|`);

try {
    const bootstrap = join(dir, 'bootstrap.json');
    const env = { PATH: process.env.PATH, PRIVATE_NETWORK_ALLOW: '127.0.0.1/32', LOG_LEVEL: 'warn' };
    const up = start(['-c', '0', binary, 'up', '--data', join(dir, 'data'), '--port', '0', '--bootstrap-file', bootstrap], { env });
    await until(() => readFileSync(bootstrap));
    const server = JSON.parse(readFileSync(bootstrap, 'utf8'));
    const cli = (...args) =>
        execFileSync(binary, args, {
            encoding: 'utf8',
            env: { ...env, MEMBRANE_API_URI: server.apiUri, MEMBRANE_WORKSPACE_KEY: server.workspaceKey, MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret },
        }).trim();
    const token = cli('token', '--admin');
    const headers = [`Authorization: Bearer ${token}`, 'membrane-api-version: 2025-10-21'];
    const api = async (method, path, body) => {
        const r = await fetch(server.apiUri + path, {
            method,
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body: body && JSON.stringify(body),
        });
        if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${await r.text()}`);
        return r.json();
    };
    console.log(`idle: ${rssMb(up.pid).toFixed(0)} MB (all processes of \`up\`, PSS)`);
    cli('push', join(here, '../../test/fixtures/workspace-bidirectional-sync'));
    const page = await api('GET', '/actions?limit=25');
    const element = await api('GET', `/actions/${page.items[0].id}`);
    const upstreamPort = 18081, nginxPort = 18082, listPort = 18083, fastifyPort = 18084;
    const upstream = `http://127.0.0.1:${upstreamPort}/items`;
    nginx('upstream', upstreamPort, '1', '{"id":"item-1","ok":true}');
    const same = nginx('same', nginxPort, '0', JSON.stringify(element));
    const sameList = nginx('list', listPort, '0', JSON.stringify(page));
    const fastify = start(['-c', '0', process.execPath, join(here, 'fastify.mjs')], {
        env: { PATH: process.env.PATH, BENCH: JSON.stringify({ secret: server.workspaceSecret, elements: [element, ...page.items], upstream, port: fastifyPort }) },
    });
    await until(() => fetch(`http://127.0.0.1:${fastifyPort}/actions/x`, { headers: { authorization: `Bearer ${token}` } }).then(() => true));
    await until(() => fetch(upstream).then((r) => r.ok));

    const reads = () => {
    head(`GET one element (${JSON.stringify(element).length} bytes), 64 clients`);
    const n = measure('nginx, same bytes', same.pid, `http://127.0.0.1:${nginxPort}/`, { headers });
    const f = measure('Fastify, same look-up', fastify.pid, `http://127.0.0.1:${fastifyPort}/actions/${element.id}`, { headers });
    const m = measure('Membrane', up.pid, `${server.apiUri}/actions/${element.id}`, { headers });
    console.log(`\n${(m.rps / n.rps).toFixed(2)} of nginx, ${(m.rps / f.rps).toFixed(1)} times Fastify`);

    head(`GET a list of 25 (${JSON.stringify(page).length} bytes), 64 clients`);
    measure('nginx, same bytes', sameList.pid, `http://127.0.0.1:${listPort}/`, { headers });
    const fl = measure('Fastify', fastify.pid, `http://127.0.0.1:${fastifyPort}/actions?limit=25`, { headers });
    const ml = measure('Membrane', up.pid, `${server.apiUri}/actions?limit=25`, { headers });
    console.log(`\n${(ml.rps / fl.rps).toFixed(1)} times Fastify`);
    };
    if (!process.env.BENCH_ONLY) reads();

    const action = await api('POST', '/actions', {
        key: 'bench', name: 'Bench', type: 'http-request',
        inputSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
        config: { request: { uri: upstream, method: 'POST', body: { name: { $var: '$.input.name' } } } },
        outputMapping: { id: { $var: '$.output.data.id' } },
    });
    const script = join(dir, 'run.lua');
    writeFileSync(script, `wrk.method = "POST"\nwrk.body = '{"input":{"name":"Ada"}}'\nwrk.headers["Content-Type"] = "application/json"\n`);
    if (process.env.PERF) {
        const core = tree(up.pid)[1];
        const perf = spawn('perf', ['record', '-q', '-F', '4000', '-o', process.env.PERF, '-p', String(core), '--', 'sleep', '2'], { stdio: 'inherit' });
        wrk(`${server.apiUri}/actions/${action.id}/run`, { connections: 16, script, headers, duration: 4 });
        await new Promise((done) => perf.on('exit', done));
    }
    for (const connections of [1, 16, 64]) {
        head(`Action run: token, validation, mapping, one upstream POST, mapping, both logs; ${connections} clients`);
        const raw = wrk(upstream, { connections, script });
        row('the upstream alone', raw);
        const fr = measure('Fastify, the call alone', fastify.pid, `http://127.0.0.1:${fastifyPort}/actions/x/run`, { connections, script, headers });
        const mr = measure('Membrane', up.pid, `${server.apiUri}/actions/${action.id}/run`, { connections, script, headers });
        console.log(`\noverhead above the upstream: p50 ${(mr.p50 - raw.p50).toFixed(2)} ms, p99 ${(mr.p99 - raw.p99).toFixed(2)} ms; ${(mr.rps / fr.rps).toFixed(2)} times Fastify`);
    }

    if (!process.env.BENCH_ONLY) await flood();
    async function flood() {
    const slow = http.createServer((rq, rs) => rq.resume().on('end', () => setTimeout(() => rs.end('{"id":"slow"}'), 2000)));
    slow.keepAliveTimeout = 120_000;
    await new Promise((done) => slow.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, done));
    const slowAction = await api('POST', '/actions', {
        key: 'bench-slow', name: 'Slow', type: 'http-request',
        config: { request: { uri: `http://127.0.0.1:${slow.address().port}/`, method: 'POST', body: {} } },
    });
    const load = spawn('taskset', ['-c', '1', 'wrk', '-t1', '-c5000', '-d12s', '--timeout', '30s', ...headers.flatMap((h) => ['-H', h]), '-s', script,
        `${server.apiUri}/actions/${slowAction.id}/run`], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '', peak = 0;
    load.stdout.on('data', (d) => (out += d));
    const timer = setInterval(() => (peak = Math.max(peak, rssMb(up.pid))), 500);
    await new Promise((done) => load.on('exit', done));
    clearInterval(timer);
    console.log(`\n5,000 action runs in flight to an upstream that answers after 2 s: ${/(\d+) requests in/.exec(out)[1]} done in 12 s, ` +
        `${/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0} refused, ${/timeout (\d+)/.exec(out)?.[1] ?? 0} timed out, peak ${peak.toFixed(0)} MB`);
    await sleep(3000);
    console.log(`memory after all of it: ${rssMb(up.pid).toFixed(0)} MB`);
    slow.close();
    slow.closeAllConnections();
    }
} finally {
    for (const child of children) child.kill('SIGKILL');
    try {
        execFileSync('pkill', ['-f', `${dir}/`]);
    } catch {}
    rmSync(dir, { recursive: true, force: true });
}
