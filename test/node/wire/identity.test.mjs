// Identity as the unmodified public clients see it: every customer accessor, self, and the
// console's routes, with answers parsed by the clients' own schemas.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import * as older from '@integration-app/sdk';
import * as sdk from '@membranehq/sdk';
import { runCommand, startServer } from '../lib/server.mjs';

let server, session;
before(async () => {
    server = await startServer();
    assert.match(server.adminToken, /^pat-/);
    const token = new URL(server.adminUri).searchParams.get('token');
    session = (await call('POST', '/auth/link', { body: { token } })).token;
});
after(() => server.stop());

const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

function hmacToken(claims, { alg = 'HS256', secret = server.workspaceSecret } = {}) {
    const input = b64({ alg, typ: 'JWT' }) + '.' + b64(claims);
    const mac = createHmac('sha' + alg.slice(2), secret).update(input).digest('base64url');
    return `${input}.${mac}`;
}
const adminToken = () =>
    hmacToken({ workspaceKey: server.workspaceKey, isAdmin: true, exp: inAnHour() });
const client = (token, Class = sdk.MembraneClient) =>
    new Class({ token, apiUri: server.apiUri });
const admin = () => client(adminToken());

// A plain request; status is what is expected.
async function call(method, path, { token, body, status = /^2/, headers = {} } = {}) {
    const answer = await fetch(server.apiUri + path, {
        method,
        headers: {
            ...(token && { authorization: `Bearer ${token}` }),
            ...(body !== undefined && { 'content-type': 'application/json' }),
            ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    assert.match(String(answer.status), new RegExp(status), `${method} ${path}: ${text}`);
    return text && JSON.parse(text);
}

const isNotAuthenticated = (error) => {
    assert.ok(error.isMembraneError, String(error));
    assert.equal(error.data.type, 'bad_request');
    assert.equal(error.data.key, 'not_authenticated');
    return true;
};

test('the client signs its own token and finds its customer', async () => {
    const self = await new sdk.MembraneClient({
        workspaceKey: server.workspaceKey,
        workspaceSecret: server.workspaceSecret,
        tenantKey: 'acct_1',
        apiUri: server.apiUri,
    }).self.get();
    sdk.TenantSelfResponse.parse(self);
    assert.equal(self.internalId, 'acct_1');
    assert.equal(self.workspaceKey, server.workspaceKey);
});

test('credentials given to the constructor arrive once', async () => {
    const token = hmacToken({ iss: server.workspaceKey, id: 'acct_2', exp: inAnHour() });
    const it = new sdk.MembraneClient({ token, apiUri: server.apiUri, credentials: { key: 'k' } });
    const self = await it.self.patch({ credentials: { key: 'k2' } });
    sdk.TenantSelfResponse.parse(self);
    assert.equal(self.credentials, undefined);
    const seen = await admin().customer('acct_2').get();
    assert.match(seen.credentials.key, /^k2?$/);
});

test('every customer accessor works with the newer client', async () => {
    const it = admin();
    const made = await it.customers.create({
        name: 'Harbor Books',
        internalId: 'harbor',
        fields: { plan: 'pro' },
        aiCreditsRolling30DayLimit: null,
    });
    sdk.CustomerApiResponse.parse(made);
    assert.deepEqual(made.fields, { plan: 'pro' });
    for (const accessor of [it.customer(made.id), it.customer({ id: made.id }), it.customer('harbor')]) {
        const { updatedAt, ...rest } = await accessor.get();
        assert.ok(updatedAt >= made.updatedAt);
        assert.deepEqual({ ...rest, updatedAt: made.updatedAt }, made);
        const changed = await accessor.patch({ fields: { plan: 'free' } });
        sdk.CustomerApiResponse.parse(changed);
        assert.deepEqual(changed.fields, { plan: 'free' });
        const whole = await accessor.put({ ...changed, fields: { plan: 'pro' } });
        assert.equal(whole.name, 'Harbor Books');
        await accessor.archive();
        assert.ok((await accessor.get()).archivedAt);
        await assert.rejects(accessor.patch({ name: 'x' }), sdk.BadRequestError);
        const restored = await accessor.restore();
        sdk.CustomerApiResponse.parse(restored);
        assert.equal(restored.archivedAt, undefined);
        await it.customer(made.id).patch({ fields: { plan: 'pro' } });
    }
    await assert.rejects(it.customer('nobody').get(), (error) => error.data.key === 'not_found');
    await assert.rejects(
        it.customers.create({ name: 'Twin', internalId: 'harbor' }),
        (error) => error.data.key === 'already_exists',
    );
});

test('customers are paged, searched and found all at once', async () => {
    const it = admin();
    for (let i = 0; i < 7; i++)
        await it.customers.create({ name: `Paged ${i}`, internalId: `paged-${i}` });
    const first = await it.customers.find({ search: 'paged', limit: 5 });
    assert.equal(first.items.length, 5);
    assert.ok(first.cursor);
    const second = await it.customers.find({ search: 'paged', limit: 5, cursor: first.cursor });
    assert.equal(second.items.length, 2);
    assert.equal(second.cursor, undefined);
    const names = [...first.items, ...second.items].map((c) => c.name);
    assert.equal(new Set(names).size, 7);
    const all = await it.customers.findAll({ search: 'paged' });
    assert.equal(all.length, 7);
    all.forEach((c) => sdk.CustomerApiResponse.parse(c));
    const tests = await it.customers.find({ isTest: true });
    assert.ok(tests.items.every((c) => c.isTest));
});

test('the older client works without a version header', async () => {
    const token = hmacToken({ iss: server.workspaceKey, id: 'old', name: 'Old', exp: inAnHour() });
    const self = await client(token, older.IntegrationAppClient).self.get();
    assert.equal(self.name, 'Old');
    const all = await client(adminToken(), older.IntegrationAppClient).customers.findAll();
    assert.ok(all.some((c) => c.internalId === 'old'));
});

test('HS256, HS384 and HS512 are accepted; none, a wrong secret and old tokens are not', async () => {
    const claims = { iss: server.workspaceKey, id: 'hs', exp: inAnHour() };
    for (const alg of ['HS256', 'HS384', 'HS512'])
        assert.equal((await client(hmacToken(claims, { alg })).self.get()).internalId, 'hs');
    const bad = [
        hmacToken(claims, { secret: 'wrong' }),
        hmacToken({ ...claims, exp: inAnHour() - 7200 }),
        hmacToken({ ...claims, nbf: inAnHour() }),
        hmacToken({ ...claims, iss: 'unknown' }),
        hmacToken({ iss: server.workspaceKey, exp: inAnHour() }),
        `${b64({ alg: 'none' })}.${b64({ ...claims, isAdmin: true })}.`,
        'pat-unknown',
    ];
    for (const token of bad) {
        const answer = await call('GET', '/self', { token, status: '401' });
        assert.equal(answer.key, 'not_authenticated');
    }
    await assert.rejects(client(bad[0]).self.get(), isNotAuthenticated);
    await call('GET', '/self', { status: '401' });
});

test('tokens of stored public keys are accepted, and the secret can be switched off', async () => {
    const made = await call('POST', '/workspaces', {
        token: session,
        body: { workspaceKey: 'asymmetric', workspaceSecret: 'a-secret-of-its-own' },
    });
    sdk.Workspace?.parse(made);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const input =
        b64({ alg: 'ES256', typ: 'JWT' }) +
        '.' +
        b64({ workspaceKey: 'asymmetric', tenantKey: 'es', name: 'Es', exp: inAnHour() });
    const signature = sign('sha256', Buffer.from(input), {
        key: privateKey,
        dsaEncoding: 'ieee-p1363',
    }).toString('base64url');
    const token = `${input}.${signature}`;
    await call('GET', '/self', { token, status: '401' });
    await call('PATCH', `/workspaces/${made.id}`, {
        token: session,
        body: {
            publicKeys: [{ name: 'k', publicKey: publicKey.export({ type: 'spki', format: 'pem' }) }],
        },
    });
    assert.equal((await client(token).self.get()).name, 'Es');
    const shared = hmacToken(
        { workspaceKey: 'asymmetric', tenantKey: 'hs', exp: inAnHour() },
        { secret: 'a-secret-of-its-own' },
    );
    await client(shared).self.get();
    await call('PATCH', `/workspaces/${made.id}`, {
        token: session,
        body: { settings: { disableSecretKeyAuth: true } },
    });
    await assert.rejects(client(shared).self.get(), isNotAuthenticated);
});

test('customers may not do what administrators do', async () => {
    const token = hmacToken({ iss: server.workspaceKey, id: 'plain', exp: inAnHour() });
    await assert.rejects(client(token).customers.find(), (error) => {
        assert.equal(error.data.key, 'access_denied');
        return true;
    });
    const answer = await call('GET', '/customers', { token, status: '403' });
    assert.equal(answer.type, 'bad_request');
});

test('first tokens at once make one customer', async () => {
    const claims = { iss: server.workspaceKey, id: 'race', exp: inAnHour() };
    const ids = await Promise.all(
        Array.from({ length: 32 }, (_, i) =>
            client(hmacToken({ ...claims, jti: String(i) }))
                .self.get()
                .then((self) => self.id),
        ),
    );
    assert.equal(new Set(ids).size, 1);
});

// S33
test('the console signs in and sees account, organisations and workspaces', async () => {
    const account = await call('GET', '/account', { token: session });
    sdk.AccountResponse.parse(account);
    assert.equal(account.workspace.secret, server.workspaceSecret);
    assert.equal(account.authContextPermissions.platformUser.isPlatformAdmin, true);
    assert.equal(account.testCustomer.isTest, true);

    const orgs = await call('GET', '/orgs', { token: session });
    orgs.forEach((org) => sdk.Org.parse(org));
    const page = await call('GET', '/org-workspaces?limit=10', { token: session });
    sdk.ListOrgWorkspacesResponse.parse(page);
    const made = await call('POST', '/org-workspaces', {
        token: session,
        body: { orgId: orgs[0].id, name: 'Second' },
    });
    sdk.OrgWorkspace.parse(made);
    sdk.OrgWorkspace.parse(await call('GET', `/org-workspaces/${made.id}`, { token: session }));
    const token = sdk.GenerateWorkspaceAccessTokenResponse.parse(
        await call('POST', `/org-workspaces/${made.id}/access-token`, {
            token: session,
            body: { tenantKey: 'console', name: 'From the console' },
        }),
    ).token;
    assert.equal((await client(token).self.get()).workspaceKey, made.key);
    sdk.RotateOrgWorkspaceSecretResponse.parse(
        await call('POST', `/org-workspaces/${made.id}/rotate-secret`, { token: session }),
    );
    await assert.rejects(client(token).self.get(), isNotAuthenticated);
    const users = await call('GET', `/orgs/${orgs[0].id}/users`, { token: session });
    users.forEach((user) => sdk.FullOrgUser.parse(user));
    const invitation = await call('POST', `/orgs/${orgs[0].id}/invitations`, {
        token: session,
        body: { email: 'new@example.test', name: 'New' },
    });
    sdk.OrgInvitation.parse(invitation);
});

test('personal, client and self-hosting tokens', async () => {
    const pat = (await call('POST', '/account/api-token', { token: session })).token;
    assert.match(pat, /^pat-/);
    // The client sends it unchanged; the default workspace is meant.
    assert.ok(Array.isArray((await client(pat).customers.find()).items));
    await call('GET', '/customers', {
        token: pat,
        headers: { 'x-membrane-workspace': 'no-such-workspace' },
        status: '403',
    });

    const made = sdk.CreateClientTokenResponse.parse(
        await call('POST', '/client-tokens', {
            token: adminToken(),
            body: { grantType: 'api', grantId: 'g', grantName: 'Nightly job' },
        }),
    );
    assert.ok(Array.isArray((await client(made.accessToken).customers.find()).items));
    sdk.ClientTokenListResponse.parse(await call('GET', '/client-tokens', { token: adminToken() }));
    await call('DELETE', `/client-tokens/${made.id}`, { token: adminToken() });
    await assert.rejects(client(made.accessToken).customers.find(), isNotAuthenticated);

    const hosting = sdk.CreateSelfHostingTokenResponse.parse(
        await call('POST', '/self-hosting-tokens', { token: session, body: { name: 'prod' } }),
    );
    sdk.ValidateSelfHostingTokenResponse.parse(
        await call('POST', '/self-hosting-tokens/validate', { token: hosting.token, body: {} }),
    );
    await call('DELETE', `/self-hosting-tokens/${hosting.id}`, { token: session });
});

test('membrane token and membrane admin do what scripts need', async () => {
    const env = {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    };
    const token = await runCommand(
        ['token', '--customer', 'cli', '--name', 'From the CLI', '--fields', '{"a":1}'],
        env,
    );
    assert.equal(token.code, 0, token.stderr);
    const self = await client(token.stdout.trim()).self.get();
    assert.equal(self.name, 'From the CLI');
    assert.deepEqual(self.fields, { a: 1 });
    assert.equal((await runCommand(['token'], env)).code, 64);
    assert.equal((await runCommand(['token', '--admin'], {})).code, 78);

    // The first administrator's personal token stands in the first bootstrap file; the tests
    // above have replaced it.
    const pat = (await call('POST', '/account/api-token', { token: session })).token;
    const asAdmin = { MEMBRANE_API_URI: server.apiUri, MEMBRANE_ACCESS_TOKEN: pat };
    const made = await runCommand(
        ['admin', 'create-user', '--email', 'cli@example.test', '--org', 'Cli', '--workspace', 'W'],
        asAdmin,
    );
    assert.equal(made.code, 0, made.stderr);
    const link = new URL(made.stdout.trim()).searchParams.get('token');
    const signedIn = await call('POST', '/auth/link', { body: { token: link } });
    const account = await call('GET', '/account', { token: signedIn.token });
    assert.equal(account.workspace.name, 'W');
    const users = await runCommand(['admin', 'users', '--search', 'cli@'], asAdmin);
    assert.match(users.stdout, /cli@example\.test\tcli\tconfirmed/);
    const refused = await runCommand(['admin', 'users'], {
        ...asAdmin,
        MEMBRANE_ACCESS_TOKEN: signedIn.token,
    });
    assert.equal(refused.code, 70);
});

test('a browser may call: preflight with the three headers', async () => {
    const answer = await fetch(server.apiUri + '/self', {
        method: 'OPTIONS',
        headers: {
            origin: 'https://customer.example',
            'access-control-request-method': 'PATCH',
            'access-control-request-headers': 'authorization,membrane-api-version,content-type',
        },
    });
    assert.ok(answer.ok);
    assert.match(answer.headers.get('access-control-allow-origin'), /^(\*|https:\/\/customer)/);
});
