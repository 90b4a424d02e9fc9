// Starts the real executable for a test and ends it by its process id.
//
//     const server = await startServer();          // `membrane up` on free ports
//     await fetch(server.apiUri + '/livez');
//     await server.stop();
//
// MEMBRANE_BIN names another executable than build/membrane (a sanitizer build).
// MEMBRANE_TEST_STORE=mongodb gives every server a database of a MongoDB-protocol server.
import { spawn } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

globalThis.crypto ??= webcrypto; // the SDK expects it, Node 18 does not have it
process.setMaxListeners(0); // one listener per server and directory, by design

export const root = resolve(fileURLToPath(import.meta.url), '../../../..');
export const binary = process.env.MEMBRANE_BIN ?? join(root, 'build/membrane');
const START_TIMEOUT_MS = 30_000;

export function tempDir() {
    const dir = mkdtempSync(join(tmpdir(), 'membrane-test-'));
    process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
    return dir;
}

// Calls fn until it gives something true; throws after timeoutMs with what it waited for.
export async function until(fn, what, timeoutMs = START_TIMEOUT_MS) {
    const end = Date.now() + timeoutMs;
    for (;;) {
        const value = await fn();
        if (value) return value;
        if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
        await new Promise((done) => setTimeout(done, 20));
    }
}

export function freePort() {
    return new Promise((done, fail) => {
        const server = createServer();
        server.on('error', fail);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => done(port));
        });
    });
}

// Only what the executable needs: the machine's own variables must not change a test.
export function cleanEnv(env = {}) {
    const kept = {};
    for (const name of ['PATH', 'HOME', 'TMPDIR', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS'])
        if (process.env[name] !== undefined) kept[name] = process.env[name];
    return { ...kept, ...env };
}

// What a failed test or hook left running is ended with its file: the file would wait for it.
const launched = new Set();
if (process.env.NODE_TEST_CONTEXT) {
    const { after } = await import('node:test');
    after(() => launched.forEach((running) => running.kill('SIGKILL')));
}

// A running process: its output, its end, and ways to end it.
export function launch(args, env, options = {}) {
    const child = spawn(binary, args, { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const running = { pid: child.pid, stdout: '', stderr: '', exited: false };
    child.stdout.on('data', (data) => (running.stdout += data));
    child.stderr.on('data', (data) => (running.stderr += data));
    running.ended = new Promise((done) => {
        child.on('close', (code, signal) => {
            running.exited = true;
            launched.delete(running);
            done({ code, signal });
        });
    });
    launched.add(running);
    running.kill = (signal) => running.exited || process.kill(child.pid, signal);
    // Gives {code, signal}; kills what does not end in time.
    running.stop = async (signal = 'SIGTERM', timeoutMs = 20_000) => {
        running.kill(signal);
        const timer = setTimeout(() => running.kill('SIGKILL'), timeoutMs);
        const result = await running.ended;
        clearTimeout(timer);
        // Of a sanitizer build: what it found must not get lost with the process.
        if (/Sanitizer: |runtime error: /.test(running.stderr)) throw new Error(running.stderr);
        return result;
    };
    // The JSON lines of the log so far.
    running.log = () =>
        running.stderr
            .split('\n')
            .filter((line) => line.startsWith('{'))
            .map((line) => JSON.parse(line));
    process.on('exit', () => running.exited || process.kill(child.pid, 'SIGKILL'));
    return running;
}

// Runs a command to its end: {code, signal, stdout, stderr}.
export async function runCommand(args, env) {
    const running = launch(args, env);
    const result = await running.ended;
    return { ...result, stdout: running.stdout, stderr: running.stderr };
}

function failIfEnded(running) {
    if (running.exited) throw new Error(`the server ended:\n${running.stdout}${running.stderr}`);
}

let mongo;

// A database of a server that all servers of a test file share.
async function mongoUri(db) {
    mongo ??= import('./mongodb.mjs').then(({ startMongo }) => startMongo());
    return (await mongo).uri(db);
}

// `membrane up` on free ports: the members of its bootstrap file (apiUri, uiUri, consoleUri,
// runnerUri, workspaceKey, workspaceSecret, adminUri) and those of launch().
export async function startServer({ env = {}, args = [], dataDir = tempDir() } = {}) {
    const file = join(dataDir, 'bootstrap.json');
    rmSync(file, { force: true });
    if (process.env.MEMBRANE_TEST_STORE === 'mongodb' && !env.MONGO_URI)
        env = { ...env, MONGO_URI: await mongoUri(basename(dataDir)) };
    const running = launch(
        ['up', '--data', dataDir, '--port', '0', '--bootstrap-file', file, ...args],
        env,
    );
    await until(() => failIfEnded(running) || existsSync(file), 'the bootstrap file');
    return Object.assign(running, JSON.parse(readFileSync(file, 'utf8')), {
        dataDir,
        bootstrapFile: file,
    });
}

export const serveEnv = (dataDir, port) => ({
    DATA_DIR: dataDir,
    PORT: String(port),
    HOST: '127.0.0.1',
    BASE_URI: `http://127.0.0.1:${port}`,
    CUSTOM_CODE_RUNNER_URI: 'http://127.0.0.1:1',
    SECRET: 'k3v9Qm2xT7pLw8RzYb4NcJd6HsGfA1Ue',
    ENCRYPTION_SECRET: 'Zt5rWq8yXo1iPl3kMj7nBh9vGc2fDx4s',
    SHUTDOWN_DRAIN_DELAY_SECONDS: '0',
});

// One service on one port: waits until it answers.
export async function startService(command, env) {
    const running = launch([command], env);
    running.uri = `http://127.0.0.1:${env.PORT}`;
    await until(async () => {
        failIfEnded(running);
        return fetch(running.uri + '/').then((r) => r.ok, () => false);
    }, `${command} to answer`);
    return running;
}
