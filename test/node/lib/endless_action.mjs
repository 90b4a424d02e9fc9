// An action on an application that never answers: what comes of it is known after the
// 50 s that a run may take. Start it before other long work, and await it behind.
import { createServer } from 'node:http';
import { startServer } from './server.mjs';
import { adminToken, caller, workspaceOf } from './workspace.mjs';

// Gives {status, body, seconds, left}: the answer, and whether the application was left.
export async function runEndlessAction() {
    let leave;
    const gone = new Promise((done) => (leave = () => done(true)));
    const app = createServer((request) => request.socket.on('close', leave));
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    const server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } });
    try {
        const call = caller(server.apiUri, adminToken(workspaceOf(server)));
        const uri = `http://127.0.0.1:${app.address().port}/`;
        await call('POST', '/actions', { key: 'endless', name: 'E', type: 'http-request', config: { request: { uri } } });
        const start = process.hrtime.bigint();
        const { status, body } = await call('POST', '/actions/endless/run', {});
        const seconds = Number(process.hrtime.bigint() - start) / 1e9;
        const left = await Promise.race([gone, new Promise((done) => setTimeout(done, 20_000, false).unref())]);
        return { status, body, seconds, left };
    } finally {
        await server.stop();
        app.close();
        app.closeAllConnections();
    }
}
