// Input that nobody sends by accident: every answer is an error of the contract (or success
// where the input is allowed), never a 5xx, and the server lives on.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { startServer } from '../lib/server.mjs';
import { adminToken, caller, customerToken, errorDataProblem, workspaceOf } from '../lib/workspace.mjs';

let server, admin, customer, document;
before(async () => {
    server = await startServer();
    admin = caller(server.apiUri, adminToken(workspaceOf(server)));
    customer = caller(server.apiUri, customerToken(workspaceOf(server), 'jo'));
    document = (await admin('GET', '/openapi.json')).body;
    await admin('POST', '/connectors', { key: 'crm', name: 'CRM', type: 'client-credentials' });
    await admin('POST', '/integrations', { key: 'crm', name: 'CRM', connectorKey: 'crm' });
});
after(async () => {
    assert.equal(server.exited, false);
    await server.stop();
});

// The contract's error, or a success.
function answered({ status, body, text }, what) {
    assert.ok(status < 500, `${what}: ${status} ${text}`);
    if (status >= 400) assert.equal(errorDataProblem(body), undefined, `${what}: ${text}`);
    return status;
}

test('JSON deeper than the bound is refused', async () => {
    for (const depth of [10_000, 1_000_000]) {
        const deep = '['.repeat(depth) + ']'.repeat(depth);
        for (const body of [deep, `{"name":"x","meta":{"a":${deep}}}`, '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)])
            assert.equal(answered(await admin('POST', '/actions', body), `depth ${depth}`), 400);
    }
    // unfinished text of any depth
    assert.equal(answered(await admin('POST', '/actions', '{"a":['.repeat(100_000)), 'unfinished'), 400);
});

test('a body of 10 MB and one byte is too large, one of 10 MB is read', async () => {
    const sized = (n) => `{"name":"big","meta":{"a":"${'x'.repeat(n - 40)}"}}`.padEnd(n, ' ');
    const max = 10 * 1024 * 1024;
    assert.equal(sized(max).length, max);
    assert.equal(answered(await admin('POST', '/packages', sized(max)), '10 MB'), 201);
    assert.equal(answered(await admin('POST', '/packages', sized(max + 1)), '10 MB + 1'), 413);
});

test('texts that are no JSON are refused', async () => {
    for (const body of ['', 'nul', '{', '{"a":}', '[1,]', '"\u0001"', '{"a":1}x', '\ufeff{', "{'a':1}", '1e400', '-', '"\\ud800"'])
        assert.equal(answered(await admin('POST', '/flows', body), JSON.stringify(body)), 400, JSON.stringify(body));
    for (const body of ['[]', 'null', '1', '"x"', 'true'])
        assert.equal(answered(await admin('POST', '/flows', body), body), 400);
});

// Every written member of every type with every kind of value.
const values = [null, true, 0, -1, 1e308, '', 'x', '\u0000', '\ud800', 'x'.repeat(5000), [], [null], [[[]]], {}, { $var: '$' }, { '': { '': 1 } }, { __proto__x: 1, constructor: {} }, { $firstNotEmpty: [{ $var: 1 }] }];

test('no member of an element breaks on any kind of value', async () => {
    let tried = 0;
    for (const [path, item] of Object.entries(document.paths)) {
        const ref = item.post?.requestBody?.content?.['application/json']?.schema?.$ref;
        const schema = document.components.schemas[ref?.split('/').at(-1)];
        if (path.includes('{') || !schema?.properties || !path.match(/^\/[a-z-]+s$/) || !item.get) continue;
        const call = path === '/connections' ? customer : admin;
        const made = await call('POST', path, { name: 'Typed', integrationKey: 'crm', type: path === '/screens' ? 'integration' : undefined, credentials: {} });
        const own = made.body?.id && `${path}/${made.body.id}`;
        for (const name of Object.keys(schema.properties))
            for (const value of values) {
                const body = { name: 'T', integrationKey: path === '/connections' ? 'crm' : undefined, [name]: value };
                answered(await call('POST', path, body), `POST ${path} ${JSON.stringify(body)}`);
                if (own && document.paths[`${path}/{selector}`]?.patch)
                    answered(await call('PATCH', own, { [name]: value }), `PATCH ${own} ${name} ${JSON.stringify(value)}`);
                tried++;
            }
        answered(await call('GET', `${path}?limit=1000`), path);
    }
    assert.ok(tried > 1000, String(tried));
    answered(await admin('GET', '/export', undefined, { accept: 'application/json' }), 'export');
});

const odd = ['..', '.', '%2e%2e', '..%2f..%2fetc%2fpasswd', '%00', 'a%00b', '%', '%zz', '%ff%fe', '%ed%a0%80', '%0d%0aX:1', "'", '"', '%5c', ';', '*', '$', '{}', '[object Object]',
    'undefined', 'null', '-1', '__proto__', 'constructor', 'a.b.c', '.', 'a.', '.a', '%F0%9F%98%80', 'x'.repeat(3000), '%20', '<script>', "1' OR '1'='1"];

test('odd selectors name nothing', async () => {
    for (const path of ['actions', 'flows', 'integrations', 'connections', 'customers', 'connectors', 'data-sources', 'packages', 'connection-requests', 'action-run-logs', 'external-api-logs', 'files'])
        for (const selector of odd)
            for (const call of [admin, customer]) {
                // a plain fetch would resolve dots itself
                const text = encodeURI(decodeURIComponentSafe(selector)) === selector ? selector : selector.replace(/[ "<>\\{}]/g, encodeURIComponent);
                answered(await call('GET', `/${path}/${text}`), `GET /${path}/${text}`);
                answered(await call('PATCH', `/${path}/${text}`, {}), `PATCH /${path}/${text}`);
            }
    for (const query of odd.map((o) => o.replace(/[ "<>\\{}#&]/g, encodeURIComponent)))
        for (const name of ['id', 'key', 'cursor', 'limit', 'search', 'integrationId', 'connectionId', 'userId', 'instanceKey', 'layer', 'a[b][c]', 'autoCreate'])
            for (const path of ['action', 'actions', 'flow-instance', 'connections', 'action-run-logs'])
                answered(await admin('GET', `/${path}?${name}=${query}`), `${path}?${name}=${query}`);
});
function decodeURIComponentSafe(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return '';
    }
}

// The request line as it stands: clients of ours would clean it.
function raw(line, headers = '') {
    const { hostname, port } = new URL(server.apiUri);
    return new Promise((done, fail) => {
        const socket = connect(Number(port), hostname, () =>
            socket.write(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${adminToken(workspaceOf(server))}\r\n${headers}\r\n`));
        let text = '';
        socket.on('data', (data) => (text += data.toString('latin1')));
        socket.on('error', fail);
        socket.setTimeout(30_000, () => socket.destroy(new Error(`no answer to ${line}`)));
        socket.on('close', () => done({ status: Number(text.split(' ')[1]) || 0, text }));
    });
}

test('no address leads to files of the machine', async () => {
    for (const path of ['/static/../../../../etc/passwd', '/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd', '/static/..%2f..%2f..%2fetc%2fpasswd', '/static//etc/passwd',
        '/static/..\\..\\etc\\passwd', '/static/%00/etc/passwd', '//etc/passwd', '/../etc/passwd', '/files/../../etc/passwd', '/static/bootstrap.json', '/static/../bootstrap.json']) {
        const { status, text } = await raw(`GET ${path}`);
        assert.ok(status >= 300 && status < 500, `${path}: ${text.slice(0, 200)}`);
        assert.ok(!text.includes('root:') && !text.includes('workspaceSecret'), path);
    }
});

test('keys that look like paths stay keys', async () => {
    let kept = 0;
    for (const key of ['../../etc/passwd', '..', '/', 'a/b', 'a\\b', '%2e%2e', 'con.txt', 'a'.repeat(512), 'ключ', '😀'])
        for (const path of ['/actions', '/connectors', '/integrations']) {
            const body = { key, name: 'K', ...(path === '/connectors' && { type: 'client-credentials' }) };
            const made = await admin('POST', path, body);
            if (answered(made, `${path} ${key}`) !== 201) continue;
            kept++;
            const read = await admin('GET', `${path}/${encodeURIComponent(made.body.id)}`);
            assert.equal(read.body.key, made.body.key, key);
        }
    assert.ok(kept > 5, `${kept} keys were taken`);
});

test('a repeated or broken length and unknown methods are refused', async () => {
    assert.ok([400, 0].includes((await raw('POST /actions', 'Content-Length: 5\r\nContent-Length: 6\r\n')).status));
    assert.ok([400, 413, 0].includes((await raw('POST /actions', 'Content-Length: 99999999999999999999\r\n')).status));
    assert.ok([400, 0].includes((await raw('POST /actions', 'Content-Length: -1\r\n')).status));
    for (const method of ['TRACE', 'CONNECT', 'BREW', 'get']) {
        const { status, text } = await raw(`${method} /actions`);
        assert.ok(status >= 400 && status < 500, `${method}: ${text.slice(0, 100)}`);
    }
});
