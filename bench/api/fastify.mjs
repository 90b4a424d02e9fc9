// The same work in Fastify: check the token, look the element up, answer JSON; run an action
// as one call to an upstream with the input in the body.
import { createVerifier } from 'fast-jwt';
import Fastify from 'fastify';
import { Pool } from 'undici';

const { secret, elements, upstream, port } = JSON.parse(process.env.BENCH);
const byId = new Map(elements.map((e) => [e.id, e]));
const verify = createVerifier({ key: secret, cache: true });
const app = Fastify();
const pool = new Pool(new URL(upstream).origin, { connections: 256, pipelining: 1 });

app.addHook('onRequest', async (request) => {
    request.caller = verify(request.headers.authorization.slice(7));
});
app.get('/actions/:id', async (request, reply) => byId.get(request.params.id) ?? reply.code(404).send({}));
app.get('/actions', async (request) => ({ items: elements.slice(0, Number(request.query.limit ?? 25)), cursor: '25' }));
app.post('/actions/:id/run', async (request) => {
    const { body } = await pool.request({
        path: new URL(upstream).pathname,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: request.body.input.name }),
    });
    const data = await body.json();
    return { output: { id: data.id }, actionRunId: '000000000000000000000000' };
});
await app.listen({ port, host: '127.0.0.1' });
console.log('ready');
