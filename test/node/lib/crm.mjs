// A scripted CRM, and a connector for it: people with every method but search, notes that
// can only be listed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { runCommand, tempDir } from './server.mjs';

// A table of people in pages of two, and a table of notes that can only be listed.
export function startCrm() {
    const asked = [];
    const state = {};
    const reset = () => {
        state.people = [
            { gid: 1, first_name: 'Ada', last_name: 'Lovelace', mail: 'ada@x.org', team: 'a', made: '2026-01-01T00:00:00Z' },
            { gid: 2, first_name: 'Bob', last_name: 'Byte', mail: 'bob@x.org', team: 'b' },
            { gid: 3, first_name: 'Cy', last_name: 'Byte', mail: 'cy@x.org', team: 'a' },
        ];
        state.notes = Array.from({ length: 1500 }, (_, i) => ({ id: `n${i}`, text: `note ${i}` }));
        asked.length = 0;
    };
    reset();
    const page = (rows, url, size) => {
        const from = Number(url.searchParams.get('page') ?? 0);
        const next = from + size < rows.length ? from + size : null;
        return { body: { items: rows.slice(from, from + size), next } };
    };
    const answer = (method, url, body) => {
        const [, table, id] = url.pathname.split('/');
        const rows = state[table];
        if (!rows) return { status: 404, body: { message: 'no such table' } };
        const row = rows.find((r) => String(r.gid ?? r.id) === id);
        if (id && !row) return { status: 404, body: { message: 'no such row' } };
        if (method === 'GET' && id) return { body: row };
        if (method === 'GET') {
            const mail = url.searchParams.get('mail');
            return page(mail ? rows.filter((r) => r.mail === mail) : rows, url, table === 'notes' ? 100 : 2);
        }
        if (method === 'POST' && id === undefined) {
            const made = { gid: rows.length + 1, ...body };
            rows.push(made);
            return { body: made };
        }
        if (method === 'PATCH') return { body: Object.assign(row, body) };
        rows.splice(rows.indexOf(row), 1);
        return { status: 204 };
    };
    const listener = http.createServer((request, response) => {
        let raw = '';
        request.on('data', (d) => (raw += d));
        request.on('end', () => {
            const url = new URL(request.url, 'http://x');
            const body = raw ? JSON.parse(raw) : undefined;
            asked.push({ method: request.method, path: url.pathname, query: Object.fromEntries(url.searchParams), body });
            const a = answer(request.method, url, body);
            response.writeHead(a.status ?? 200, { 'content-type': 'application/json' });
            response.end(a.body && JSON.stringify(a.body));
        });
    });
    return new Promise((done) =>
        listener.listen(0, '127.0.0.1', () =>
            done({
                uri: `http://127.0.0.1:${listener.address().port}`,
                asked,
                state,
                reset,
                stop: () => (listener.close(), listener.closeAllConnections()),
            }),
        ),
    );
}

const crmFiles = (uri) => ({
    'spec.yml': 'key: crm\nname: CRM\nauth: {type: client-credentials, inputSchema: {type: object}}\n',
    'auth/make-api-client.map.yml': `baseUri: ${uri}\n`,
    'auth/test.rest.yml': 'path: /people\nmethod: get\n',
    'auth/get-credentials-from-connection-parameters.map.yml': 'token: t\n',
    'data/people/spec.yml': `name: People
parametersSchema: {type: object, properties: {team: {type: string}, size: {type: number}, tags: {type: array}}}
fieldsSchema:
  type: object
  properties:
    gid: {type: number, readOnly: true}
    firstName: {type: string}
    lastName: {type: string}
    email: {type: string}
    team: {type: string}
    secret: {type: string}
list: {filterFields: [email]}
create: {requiredFields: [email], excludedFields: [secret]}
update: {fields: [firstName, lastName]}
`,
    'data/people/list.rest.yml': `path: /people
method: get
requestMapping: {query: {page: {$var: $.cursor}, mail: {$var: $.filter.email}, team: {$var: $.parameters.team}}}
responseMapping:
  records: {$var: $.response.data.items}
  cursor: {$var: $.response.data.next}
  drilldowns: {$case: {cases: [{filter: {$eval: {$var: $.parameters.team}, is: all}, value: [{parameters: {team: x}}]}]}}
`,
    'data/people/find-by-id.rest.yml':
        'path: /people/{id}\nmethod: get\nrequestMapping: {pathParameters: {id: {$var: $.id}}}\nresponseMapping: {record: {$var: $.response.data}}\n',
    'data/people/create.rest.yml': 'path: /people\nmethod: post\nrequestMapping: {data: {$var: $.fields}}\nresponseMapping: {id: {$var: $.response.data.gid}}\n',
    'data/people/update.rest.yml':
        'path: /people/{id}\nmethod: patch\nrequestMapping: {pathParameters: {id: {$var: $.id}}, data: {$var: $.fields}}\n',
    'data/people/delete.rest.yml': 'path: /people/{id}\nmethod: delete\nrequestMapping: {pathParameters: {id: {$var: $.id}}}\n',
    'data/people/fields-from-api.map.yml': `gid: {$var: $.fields.gid}
firstName: {$var: $.fields.first_name}
lastName: {$var: $.fields.last_name}
email: {$var: $.fields.mail}
team: {$var: $.fields.team}
made: {$var: $.fields.made}
`,
    'data/people/fields-to-api.map.yml': `first_name: {$var: $.fields.firstName}
last_name: {$var: $.fields.lastName}
mail: {$var: $.fields.email}
team: {$var: $.fields.team}
secret: {$var: $.fields.secret}
`,
    'data/people/record-from-fields.map.yml':
        "id: {$var: $.fields.gid}\nname: {$concat: [{$var: $.fields.firstName}, ' ', {$var: $.fields.lastName}]}\ncreatedTime: {$var: $.fields.made}\n",
    'data/notes/list.rest.yml':
        'path: /notes\nmethod: get\nrequestMapping: {query: {page: {$var: $.cursor}}}\nresponseMapping: {records: {$var: $.response.data.items}, cursor: {$var: $.response.data.next}}\n',
    'udm.yml': `contacts:
  defaultCollection: {key: people}
  collectionMappings:
    - key: people
      fieldsFromCollection:
        firstName: {$var: $.firstName}
        lastName: {$var: $.lastName}
        primaryEmail: {$var: $.email}
      fieldsToCollection:
        firstName: {$var: $.firstName}
        lastName: {$var: $.lastName}
        email: {$var: $.primaryEmail}
        team: a
`,
});

// Uploads the connector, with files of one's own on top ({path: text}).
export async function uploadCrm(server, app, more = {}) {
    const dir = tempDir();
    for (const [path, text] of Object.entries({ ...crmFiles(app.uri), ...more })) {
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
