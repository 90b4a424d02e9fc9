// Every operation of openapi.json, called with generated input: no answer is a 5xx, none is
// of another shape than the document says (failures: ErrorData), and the server lives on.
// OPENAPI_FUZZ_SECONDS (default 45) bounds the time for each of the two tokens.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runEndlessAction } from '../lib/endless_action.mjs';
import { root, runCommand, startServer, tempDir } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

const seconds = process.env.OPENAPI_FUZZ_SECONDS ?? '45';
const seed = process.env.OPENAPI_FUZZ_SEED ?? '1';
const bin = (name) => join(root, '.peers/bin', name);

let server, workspace, document, file, endless;
before(async () => {
    endless = runEndlessAction(); // its time goes by while this file works
    endless.catch(() => {});
    assert.ok(existsSync(bin('st')), 'scripts/setup installs schemathesis into .peers/');
    server = await startServer();
    workspace = workspaceOf(server);
    const pushed = await runCommand(['push', join(root, 'test/fixtures/workspace-bidirectional-sync')], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: workspace.key,
        MEMBRANE_WORKSPACE_SECRET: workspace.secret,
    });
    assert.equal(pushed.code, 0, pushed.stderr);
    document = await (await fetch(server.apiUri + '/openapi.json')).json();
    file = join(tempDir(), 'openapi.json');
    writeFileSync(file, JSON.stringify(await withRealNames(document)));
});
after(() => server?.stop());

// Generated selectors hit nothing: path parameters get the ids of real things to choose from.
async function withRealNames(api) {
    const admin = caller(server.apiUri, adminToken(workspace));
    const customer = caller(server.apiUri, customerToken(workspace, 'jo'));
    await admin('POST', '/connectors', { key: 'crm', name: 'CRM', type: 'client-credentials' });
    await admin('POST', '/integrations', { key: 'own-crm', name: 'CRM', connectorKey: 'crm' });
    const made = await customer('POST', '/connections', { integrationKey: 'own-crm', name: 'C', credentials: { apiKey: 'k' } });
    assert.equal(made.status, 200, made.text);
    for (const path of ['actions', 'flows', 'data-sources', 'field-mappings']) {
        const { body } = await admin('POST', `/${path}`, { key: 'own', name: 'Own' });
        await customer('POST', `/connections/${made.body.id}/${path}/${body.key}`);
    }
    const names = {};
    const result = structuredClone(api);
    for (const [path, item] of Object.entries(result.paths)) {
        const parts = path.slice(1).split('/');
        for (const operation of Object.values(item))
            for (const parameter of operation.parameters ?? []) {
                const collection = parts[parts.indexOf(`{${parameter.name}}`) - 1];
                if (parameter.in !== 'path' || !collection || !api.paths[`/${collection}`]?.get) continue;
                names[collection] ??= (await customer('GET', `/${collection}?limit=3`)).body?.items
                    ?? (await admin('GET', `/${collection}?limit=3`)).body?.items ?? [];
                const ids = names[collection].flatMap((i) => [i.id, i.key ?? i.id]);
                if (collection !== 'customers') parameter.schema.enum = [...new Set([...ids, 'own', 'no such'])];
            }
    }
    return result;
}

function run(command, args) {
    return new Promise((done) => {
        execFile(command, args, { cwd: tempDir(), maxBuffer: 1 << 28, env: { ...process.env, PYTHONHASHSEED: '0' } },
            (error, stdout, stderr) => done({ code: error?.code ?? 0, output: stdout + stderr }));
    });
}

async function fuzzed(token, phases, t) {
    const { code, output } = await run(bin('st'), [
        'run', file, '--url', server.apiUri, '--header', `Authorization: Bearer ${token}`,
        '--phases', phases, '--max-examples', '2', '--max-time', seconds, '--seed', seed,
        '--checks', 'not_a_server_error,response_schema_conformance,content_type_conformance',
        // pages and streams are for browsers: their failures are pages, too
        '--exclude-path-regex', '^/(connect|connection-popup|oauth-callback|screens|sse)(/|$)', '--continue-on-failure', '--warnings', 'off', '--no-color', '--workers', '1', // more threads crash Python 3.11's ast module
        '--suppress-health-check', 'all',
    ]);
    assert.equal(code, 0, output.slice(-8000));
    t.diagnostic(output.match(/\d+ generated.*/)?.[0] ?? output.slice(-200));
    assert.match(output, /[1-9]\d* generated/);
    assert.equal(server.exited, false);
    assert.equal((await fetch(server.apiUri + '/livez')).status, 200);
    const internal = server.log().filter((line) => line.status >= 500);
    assert.deepEqual(internal.slice(0, 3), []);
}

test('openapi.json is a valid document without undescribed schemas', async () => {
    const { code, output } = await run(bin('openapi-spec-validator'), [file]);
    assert.equal(code, 0, output);
    const elements = ['Action', 'Flow', 'DataSource', 'FieldMapping', 'DataLinkTable', 'AppDataSchema', 'AppEventType', 'Integration', 'Package', 'Screen'];
    for (const name of [...elements, ...elements.map((e) => `${e}Write`), 'Customer', 'Connection', 'ConnectionWrite', 'Connector'])
        assert.ok(Object.keys(document.components.schemas[name]?.properties ?? {}).length > 3, name);
});

test('generated requests of a customer are answered', async (t) =>
    fuzzed(customerToken(workspace, 'jo'), 'fuzzing', t));
test('generated requests of an administrator are answered', async (t) =>
    fuzzed(adminToken(workspace), 'coverage', t));

test('an action of an application that never answers ends after 50 s', async () => {
    const { status, body, seconds, left } = await endless;
    assert.equal(status, 400, JSON.stringify(body));
    assert.equal(body.type, 'action_run');
    assert.ok(body.actionRunId);
    assert.ok(seconds >= 49.5, `${seconds} s`);
    assert.ok(left, 'the call to the application was ended, too');
});
