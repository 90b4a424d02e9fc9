// The description of the API comes from the rows that dispatch.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runCommand, startServer } from '../lib/server.mjs';

let server;
before(async () => {
    server = await startServer();
});
after(() => server.stop());

test('openapi.json lists what routes lists', async () => {
    const answer = await fetch(server.apiUri + '/openapi.json');
    assert.equal(answer.status, 200);
    const api = await answer.json();
    assert.match(api.openapi, /^3\.0/);
    const described = Object.entries(api.paths).flatMap(([path, item]) =>
        Object.keys(item)
            .filter((key) => key !== 'parameters')
            .map((method) => `${method.toUpperCase()} ${path}`));
    const { stdout } = await runCommand(['routes']);
    const routed = new Set(stdout.trim().split('\n'));
    assert.ok(described.length > 100);
    for (const line of described) assert.ok(routed.has(line), line);
    assert.deepEqual(await (await fetch(server.apiUri + '/docs-json')).json(), api);
});
