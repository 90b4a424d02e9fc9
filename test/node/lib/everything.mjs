// A stand-in for any application with users, files and emails, a connector for it, and the
// workspace's own application beside it. Nothing is checked here: tests look into `tables`
// and `told`.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { runCommand, tempDir } from './server.mjs';

const PAGE = 2;

// Records are whatever was posted; `account` keeps the customers of different connections
// apart: it is the first segment of every path. /webhooks/* is the workspace's own app.
export function startEverything() {
    const tables = {}; // account -> table -> [record]
    const told = []; // {path, body} of the workspace's own app
    const answer = (method, url, body) => {
        const [, account, table, id] = url.pathname.split('/').map(decodeURIComponent);
        const rows = ((tables[account] ??= {})[table] ??= []);
        const at = rows.findIndex((r) => r.id === id);
        if (id && at < 0) return [404, { message: `there is no ${table} ${id}` }];
        if (method === 'GET' && id) return [200, rows[at]];
        if (method === 'GET') {
            const from = Number(url.searchParams.get('from') ?? 0);
            return [200, { items: rows.slice(from, from + PAGE), next: from + PAGE < rows.length ? from + PAGE : undefined }];
        }
        if (method === 'POST') return rows.push({ ...body, id: `${table}-${rows.length + 1}` }), [201, rows.at(-1)];
        if (method === 'PATCH') return [200, Object.assign(rows[at], body, { id })];
        return rows.splice(at, 1), [204];
    };
    const listener = http.createServer((request, response) => {
        let raw = '';
        request.on('data', (d) => (raw += d));
        request.on('end', () => {
            const url = new URL(request.url, 'http://x');
            const body = raw ? JSON.parse(raw) : undefined;
            const own = url.pathname === '/' || url.pathname.startsWith('/webhooks/');
            if (own) told.push({ path: url.pathname, body });
            const [status, result] = own ? [200, { ok: true }] : answer(request.method, url, body);
            response.writeHead(status, { 'content-type': 'application/json' });
            response.end(result && JSON.stringify(result));
        });
    });
    return new Promise((done) =>
        listener.listen(0, '127.0.0.1', () =>
            done({
                uri: `http://127.0.0.1:${listener.address().port}`,
                tables,
                told,
                stop: () => (listener.close(), listener.closeAllConnections()),
            }),
        ),
    );
}

const collection = (table) => ({
    [`data/${table}/spec.yml`]: `name: ${table}\n`,
    [`data/${table}/list.rest.yml`]:
        `path: /${table}\nmethod: get\nrequestMapping: {query: {from: {$var: $.cursor}}}\nresponseMapping: {records: {$var: $.response.data.items}, cursor: {$var: $.response.data.next}}\n`,
    [`data/${table}/find-by-id.rest.yml`]:
        `path: /${table}/{id}\nmethod: get\nrequestMapping: {pathParameters: {id: {$var: $.id}}}\nresponseMapping: {record: {$var: $.response.data}}\n`,
    [`data/${table}/create.rest.yml`]:
        `path: /${table}\nmethod: post\nrequestMapping: {data: {$var: $.fields}}\nresponseMapping: {id: {$var: $.response.data.id}}\n`,
    [`data/${table}/update.rest.yml`]:
        `path: /${table}/{id}\nmethod: patch\nrequestMapping: {pathParameters: {id: {$var: $.id}}, data: {$var: $.fields}}\n`,
    [`data/${table}/delete.rest.yml`]: `path: /${table}/{id}\nmethod: delete\nrequestMapping: {pathParameters: {id: {$var: $.id}}}\n`,
    [`data/${table}/record-from-fields.map.yml`]: 'id: {$var: $.fields.id}\nname: {$var: $.fields.name}\n',
});
const unified = ([udm, tables]) =>
    `${udm}:\n  defaultCollection: {key: ${tables[0]}}\n  collectionMappings:\n` +
    tables.map((t) => `    - key: ${t}\n      fieldsFromCollection: {$var: $}\n      fieldsToCollection: {$var: $}\n`).join('');

// Uploads the connector "everything": a connection gives {account}.
// tables: the keys of its collections, by the unified model that they are: {users: [...]}.
export async function uploadEverything(server, app, tables) {
    const dir = tempDir();
    const files = {
        'spec.yml':
            'key: everything\nname: Everything\nauth: {type: client-credentials, inputSchema: {type: object, properties: {account: {type: string}}}}\n',
        'auth/make-api-client.map.yml': `baseUri: {$concat: ['${app.uri}/', {$var: $.credentials.account}]}\n`,
        'udm.yml': Object.entries(tables).map(unified).join(''),
        ...Object.assign({}, ...Object.values(tables).flat().map(collection)),
    };
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const r = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr);
}
