// Readers of health, routes that are refused, metrics and pages, for so many minutes. The
// second half must not need more memory (10 %) or descriptors than the first half did.
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import { startServer } from '../../test/node/lib/server.mjs';

const minutes = Number(process.argv[2] ?? 5);
const CLIENTS = 32;
const server = await startServer({ env: { LOG_LEVEL: 'warn' } });
const [core] = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8').trim().split(' ');
const calls = [
    [server.apiUri + '/', 200],
    [server.apiUri + '/customer', 401],
    [server.apiUri + '/no-such-path', 404],
    [server.apiUri + '/readyz', 200],
    [server.apiUri + '/prometheus', 200],
    [server.uiUri + '/', 200],
    [server.consoleUri + '/config.json', 200],
];
const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
const get = (uri) =>
    new Promise((done) => {
        http.get(uri, { agent }, (r) => {
            r.resume();
            r.on('end', () => done(r.statusCode));
        }).on('error', (e) => done(e.code));
    });
const sample = () => ({
    mb: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${core}/status`, 'utf8'))[1]) / 1024,
    fds: readdirSync(`/proc/${core}/fd`).length,
});

const end = Date.now() + minutes * 60_000;
const samples = [];
let answers = 0, wrong = 0;
const timer = setInterval(() => samples.push(sample()), Math.max(250, minutes * 200));
await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
        for (let n = i; Date.now() < end; n++) {
            const [uri, expected] = calls[n % calls.length];
            const status = await get(uri);
            answers++;
            if (status !== expected && wrong++ < 10) console.log(`${uri}: ${status} instead of ${expected}`);
        }
    }),
);
clearInterval(timer);
agent.destroy();
await server.stop();
const most = (list, key) => Math.max(...list.map((s) => s[key]));
// The first tenth warms up.
const warm = samples.slice(samples.length / 10);
const first = warm.slice(0, warm.length / 2), second = warm.slice(warm.length / 2);
console.log(
    `${answers} answers, ${wrong} wrong; memory ${most(first, 'mb').toFixed(1)} then ${most(second, 'mb').toFixed(1)} MB; ` +
        `descriptors ${most(first, 'fds')} then ${most(second, 'fds')}`,
);
const grew = most(second, 'mb') > most(first, 'mb') * 1.1 + 1 || most(second, 'fds') > most(first, 'fds') + CLIENTS;
process.exit(wrong || grew ? 1 : 0);
