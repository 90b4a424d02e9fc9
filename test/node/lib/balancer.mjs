// A load balancer as small as can be: it sends a request to the next backend whose readiness
// probe was good, keeps connections to backends, and retries nothing.
import http from 'node:http';

const PROBE_EVERY_MS = 50;

export async function startBalancer(backends) {
    const agent = new http.Agent({ keepAlive: true });
    const pool = backends.map((port) => ({ port, ready: false }));
    let turn = 0;

    async function probe() {
        await Promise.all(pool.map(async (backend) => {
            backend.ready = await fetch(`http://127.0.0.1:${backend.port}/readyz`).then((r) => r.ok, () => false);
        }));
    }
    await probe();
    const timer = setInterval(probe, PROBE_EVERY_MS);

    const server = http.createServer((request, response) => {
        const ready = pool.filter((backend) => backend.ready);
        if (ready.length === 0) return response.writeHead(503).end();
        const { port } = ready[turn++ % ready.length];
        const { connection, ...headers } = request.headers;
        const forward = http.request(
            { host: '127.0.0.1', port, method: request.method, path: request.url, headers, agent },
            (answer) => {
                const { connection: ignored, ...rest } = answer.headers;
                response.writeHead(answer.statusCode, rest);
                answer.pipe(response);
            },
        );
        forward.on('error', (error) => response.writeHead(502).end(String(error)));
        request.pipe(forward);
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return {
        uri: `http://127.0.0.1:${server.address().port}`,
        isReady: (port) => pool.find((backend) => backend.port === port).ready,
        stop() {
            clearInterval(timer);
            agent.destroy();
            server.closeAllConnections();
            server.close();
        },
    };
}
