// Starts `membrane code-runner` for a test.
import { freePort, launch, until } from '../lib/server.mjs';

// options: of the process, as {uid, gid}.
export async function startRunner(env = {}, options = {}) {
    const port = await freePort();
    const running = launch(['code-runner'], { PORT: String(port), RUNNER_JOB_SPACES: '8', SHUTDOWN_DRAIN_DELAY_SECONDS: '0', LOG_FORMAT: 'json', ...(process.env.NODE_BIN ? { NODE_BIN: process.env.NODE_BIN } : {}), ...env }, options);
    const uri = `http://127.0.0.1:${port}`;
    await until(() => running.exited || fetch(`${uri}/livez`).then((r) => r.ok, () => false), 'the code runner');
    if (running.exited) throw new Error(running.stderr);
    return {
        uri,
        pid: running.pid,
        log: running.log,
        stop: running.stop,
        // Gives {status, body, ms}.
        async run(code, args = {}, more = {}) {
            const started = performance.now();
            const r = await fetch(`${uri}/api/v2/run`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...more.headers }, body: JSON.stringify({ code, arguments: args, ...more }) });
            return { status: r.status, headers: r.headers, body: await r.json(), ms: performance.now() - started };
        },
        cancel: (id) => fetch(`${uri}/api/v2/run/${id}`, { method: 'DELETE' }),
    };
}
