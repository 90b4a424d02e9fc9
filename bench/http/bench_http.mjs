// Our server beside nginx, both on core 0, wrk on core 1. What counts is CPU time per request:
// requests per second swing with whatever else the machine does.
//   ninja -C build bench/http/bench_http && node bench/http/bench_http.mjs
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const build = process.env.BUILD ?? 'build'
const dir = mkdtempSync(join(tmpdir(), 'bench-http-'))
const children = []
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const cpuTicks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return Number(fields[11]) + Number(fields[12])
}
const memory = (pid) => Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) / 1024
const threads = (pid) => Number(/^Threads:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])

function start(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}
const firstLine = (child) => new Promise((resolve) => child.stdout.once('data', (d) => resolve(String(d).trim())))

async function startNginx(port) {
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((p) => `${p}_temp_path ${dir}/${p};`).join(' ')
  writeFileSync(`${dir}/nginx.conf`, `worker_processes 1; daemon off; master_process off; pid ${dir}/pid; error_log ${dir}/error;
    events { worker_connections 8000; }
    http { access_log off; keepalive_requests 100000000; ${paths}
      server { listen 127.0.0.1:${port}; location / { default_type application/json; return 200 '{"id":"${' '.repeat(248)}"}'; } } }`)
  const child = start('taskset', ['-c', '0', 'nginx', '-p', dir, '-c', `${dir}/nginx.conf`])
  await sleep(500)
  return child.pid
}

// What axios sends.
const headers = ['Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.abc', 'membrane-api-version: 2025-10-21',
  'Accept: application/json, text/plain, */*', 'User-Agent: axios/1.9.0', 'Accept-Encoding: gzip, compress, deflate, br']
function wrk(url, connections, seconds) {
  const out = execFileSync('taskset', ['-c', '1', 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '--latency',
    ...headers.flatMap((h) => ['-H', h]), url], { encoding: 'utf8' })
  return { n: Number(/(\d+) requests in/.exec(out)[1]), bad: Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(out)[1]), p99: /99%\s+(\S+)/.exec(out)[1] }
}

// Counts its own time: nothing here is measured while it runs.
const slow = createServer((rq, rs) => rq.resume().on('end', () => setTimeout(() => rs.end('{"ok":true}'), 2000)))
slow.keepAliveTimeout = 120000
async function flood(url, connections, seconds) {
  const child = spawn('taskset', ['-c', '1', 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', url], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (d) => { out += d })
  return new Promise((resolve) => child.on('exit', () => resolve(out)))
}

try {
  await new Promise((resolve) => slow.listen(0, '127.0.0.1', 16000, resolve))
  const ours = start('taskset', ['-c', '0', `${build}/bench/http/bench_http`, `http://127.0.0.1:${slow.address().port}/`])
  const port = await firstLine(ours)
  const nginxPort = 18081
  const nginx = await startNginx(nginxPort)
  const cases = [['nginx', nginx, `http://127.0.0.1:${nginxPort}/x`], ['inline', ours.pid, `http://127.0.0.1:${port}/inline/x`],
    ['pool', ours.pid, `http://127.0.0.1:${port}/pool/x`]]
  const best = {}
  for (let round = 0; round < 3; round++)
    for (const [name, pid, url] of cases) {
      const before = cpuTicks(pid)
      const r = wrk(url, 64, 3)
      const us = ((cpuTicks(pid) - before) * 10000) / r.n
      if (!best[name] || us < best[name].us) best[name] = { us, ...r }
    }
  for (const [name] of cases)
    console.log(`${name}: ${best[name].us.toFixed(1)} us CPU per request, ${(best.nginx.us / best[name].us).toFixed(2)} of nginx; ` +
      `${Math.round(best[name].perSecond)}/s, p99 ${best[name].p99}, ${best[name].bad} failed`)

  console.log(`memory before: ${memory(ours.pid).toFixed(1)} MB, ${threads(ours.pid)} threads`)
  const idle = []
  for (let i = 0; i < 10000; i++) {
    const s = connect(port, '127.0.0.1')
    s.on('error', () => {})
    idle.push(new Promise((resolve) => s.once('data', () => resolve(s))))
    s.write('GET /inline/x HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\n\r\n')
    if (i % 500 === 499) await Promise.all(idle.slice(-500))
  }
  const sockets = await Promise.all(idle)
  console.log(`10,000 idle connections: ${memory(ours.pid).toFixed(1)} MB`)
  sockets.forEach((s) => s.destroy())
  await sleep(1000)

  const load = flood(`http://127.0.0.1:${port}/call`, 5000, 12)
  let most = 0, mostThreads = 0
  const watch = setInterval(() => {
    most = Math.max(most, memory(ours.pid))
    mostThreads = Math.max(mostThreads, threads(ours.pid))
  }, 200)
  const before = cpuTicks(ours.pid)
  console.log((await load).split('\n').filter((l) => /requests in|Non-2xx|Socket/.test(l)).join('; '))
  clearInterval(watch)
  console.log(`5,000 in flight to an upstream of 2 s: ${most.toFixed(0)} MB, ${mostThreads} threads, ${((cpuTicks(ours.pid) - before) / 100).toFixed(1)} s of CPU`)
  await sleep(12000)
  console.log(`12 s later: ${memory(ours.pid).toFixed(1)} MB, ${threads(ours.pid)} threads`)
} finally {
  children.forEach((c) => c.kill())
  slow.closeAllConnections()
  slow.close()
  rmSync(dir, { recursive: true, force: true })
}
