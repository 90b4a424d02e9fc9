// `membrane push` and `pull`: a real workspace of 494 elements as files.
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { load } from 'js-yaml';
import { MembraneClient } from '@membranehq/sdk';

import { root, runCommand, startServer, tempDir } from '../lib/server.mjs';

const fixture = join(root, 'test/fixtures/workspace-bidirectional-sync');
let server, env, admin;

before(async () => {
    server = await startServer();
    env = {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    };
    const token = (await runCommand(['token', '--admin'], env)).stdout.trim();
    admin = new MembraneClient({ token, apiUri: server.apiUri });
});
after(() => server.stop());

const lastLine = (r) => r.stdout.trim().split('\n').at(-1);

async function run(...args) {
    const r = await runCommand(args, env);
    assert.equal(r.code, 0, r.stderr);
    return lastLine(r);
}

function filesOf(dir, prefix = '') {
    return readdirSync(join(dir, prefix), { withFileTypes: true }).flatMap((entry) => {
        const path = join(prefix, entry.name);
        return entry.isDirectory() ? filesOf(dir, path) : [path];
    });
}

// What a server sets, in words of older and newer exports; the rest is the author's.
const serverSet = new Set(`id uuid state errors revision createdAt updatedAt isDeactivated isReadOnly archivedAt
    connectorId connectorVersion externalAppId logoUri baseUri authType operationsCount dataCollectionsCount eventsCount
    hasMissingParameters hasDocumentation hasOperations hasData hasEvents hasGlobalWebhooks hasUdm integration integrationId
    integrationUuid integrationKey parentId parentUuid parentRevision universalParentId flowId universalFlowId flowRevision
    universalFlowRevision dataSourceId universalDataSourceId dataSourceRevision universalDataSourceRevision fieldMappingId
    universalFieldMappingId fieldMappingRevision universalFieldMappingRevision appDataSchemaId dependencies customized
    isCustomized isUniversal name outputSchema defaultOutputSchema transformedOutputSchema collectionSpec workspaceId
    appliedToIntegrations user meta appUuid globalWebhookUri dataSourceUuid`.split(/\s+/));
const authored = (text) =>
    JSON.parse(JSON.stringify(Object.fromEntries(
        Object.entries(load(text)).filter(([name, value]) => !serverSet.has(name) && value !== null),
    )));

test('494 elements are created, and a second push changes nothing', async () => {
    assert.match(await run('push', '--dry-run', fixture), /^494 created, 0 updated, 0 archived, 0 unchanged$/);
    assert.equal((await admin.integrations.find()).items.length, 0, 'a dry run changes nothing');
    assert.equal(await run('push', fixture), '494 created, 0 updated, 0 archived, 0 unchanged');
    assert.equal(await run('push', fixture), '0 created, 0 updated, 0 archived, 494 unchanged');
});

test('integrations without their connector say so, what depends on them too, the rest is READY', async () => {
    const integrations = await admin.integrations.findAll();
    assert.equal(integrations.length, 53);
    for (const i of integrations) {
        assert.equal(i.state, 'CONFIGURATION_ERROR', i.key);
        assert.equal(i.errors[0].type, 'configuration');
    }
    const actions = await admin.actions.findAll();
    const universal = actions.filter((a) => !a.integrationId);
    assert.ok(universal.length > 0 && universal.length < actions.length);
    for (const a of actions) {
        assert.equal(a.state, a.integrationId ? 'CONFIGURATION_ERROR' : 'READY', `${a.key} ${JSON.stringify(a.errors)}`);
        if (a.integrationId) assert.equal(a.errors[0].type, 'dependency_error');
    }
});

test('pulled files hold what the author wrote; pulling and pushing them changes nothing', async () => {
    const dir = join(tempDir(), 'pulled');
    assert.equal(await run('pull', dir), '494 created, 0 updated, 0 archived, 0 unchanged');
    const files = filesOf(fixture);
    assert.deepEqual(filesOf(dir).sort(), files.sort());
    for (const path of files)
        assert.deepEqual(
            authored(readFileSync(join(dir, path), 'utf8')),
            authored(readFileSync(join(fixture, path), 'utf8')),
            path,
        );
    assert.equal(await run('push', dir), '0 created, 0 updated, 0 archived, 494 unchanged');
    assert.equal(await run('pull', dir), '0 created, 0 updated, 0 archived, 494 unchanged');
});

test('a bad file is named with its line, and nothing is changed', async () => {
    const dir = join(tempDir(), 'bad');
    cpSync(fixture, dir, { recursive: true });
    const file = join(dir, 'actions/get-users/spec.yaml');
    const good = readFileSync(file, 'utf8');

    writeFileSync(join(dir, 'flows', readdirSync(join(dir, 'flows'))[0], 'spec.yaml'), 'name: changed\nkey: changed\n');
    writeFileSync(file, good + '\nbroken: [1,\n');
    let r = await runCommand(['push', dir], env);
    assert.equal(r.code, 65);
    assert.match(r.stderr, /actions\/get-users\/spec\.yaml:\d+:\d+: /);

    writeFileSync(file, good.replace(/^type:.*$/m, 'type: no-such-type'));
    r = await runCommand(['push', dir], env);
    assert.equal(r.code, 65);
    const line = good.split('\n').findIndex((l) => l.startsWith('type:')) + 1;
    assert.match(r.stderr, new RegExp(`actions/get-users/spec\\.yaml:${line}: `));
    assert.equal(await run('push', '--dry-run', fixture), '0 created, 0 updated, 0 archived, 494 unchanged');
});

test('a folder that lacks an element archives it; --partial leaves it alone', async () => {
    const dir = join(tempDir(), 'less');
    cpSync(fixture, dir, { recursive: true });
    rmSync(join(dir, 'actions/get-users'), { recursive: true });
    assert.equal(await run('push', '--partial', dir), '0 created, 0 updated, 0 archived, 493 unchanged');
    const line = await run('push', dir);
    assert.match(line, /^0 created, \d+ updated, 1 archived, \d+ unchanged$/);
    assert.equal((await admin.actions.find({ search: 'get-users' })).items.filter((a) => !a.integrationId).length, 0);
    assert.match(await run('push', fixture), /^1 created|^0 created/);
});

test('pull removes files of elements that are gone and leaves strangers alone', async () => {
    const dir = tempDir();
    await run('pull', dir);
    mkdirSync(join(dir, 'actions/extra'), { recursive: true });
    writeFileSync(join(dir, 'actions/extra/spec.yaml'), 'name: Extra\n');
    writeFileSync(join(dir, 'README.md'), 'mine');
    assert.match(await run('pull', '--dry-run', dir), /1 archived/);
    assert.ok(existsSync(join(dir, 'actions/extra/spec.yaml')));
    assert.match(await run('pull', dir), /^0 created, 0 updated, 1 archived/);
    assert.ok(!existsSync(join(dir, 'actions/extra')));
    assert.equal(readFileSync(join(dir, 'README.md'), 'utf8'), 'mine');
});

test('without a server or a secret the commands say what is missing', async () => {
    const gone = await runCommand(['push', fixture], { ...env, MEMBRANE_API_URI: 'http://127.0.0.1:1' });
    assert.notEqual(gone.code, 0);
    assert.match(gone.stderr, /can't be reached/);
    const bare = await runCommand(['pull', tempDir()], { MEMBRANE_API_URI: server.apiUri });
    assert.equal(bare.code, 78);
    assert.match(bare.stderr, /MEMBRANE_WORKSPACE_KEY/);
    const wrong = await runCommand(['push', fixture], { ...env, MEMBRANE_WORKSPACE_SECRET: 'wrong' });
    assert.notEqual(wrong.code, 0);
});
