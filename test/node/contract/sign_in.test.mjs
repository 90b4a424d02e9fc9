// People who sign in at an OpenID provider: a real one (oidc-provider), and one that says
// what a test wants (operations.md 8.1; S30, S31, S33 of its table).
import assert from 'node:assert/strict';
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { startProvider } from '../lib/provider.mjs';
import { startServer, until } from '../lib/server.mjs';
import { caller } from '../lib/workspace.mjs';

const redirectUri = 'http://console.example/callback';
const as = (server, token) => caller(server.apiUri, token);

describe('a real provider', () => {
    let provider, server;
    before(async () => {
        const account = (sub) => ({ name: `The ${sub}`, email: `${sub}@example.com`, email_verified: sub !== 'eve' });
        provider = await startProvider({ redirectUri, account });
        server = await startServer({ env: { OIDC_ISSUER: provider.uri, OIDC_CLIENT_ID: 'body-client' } });
    });
    after(async () => {
        provider?.stop();
        await server?.stop();
    });

    // What a console does: authorization code with PKCE. Gives the identity token.
    async function signIn(login) {
        const verifier = randomBytes(32).toString('base64url');
        const ask = new URLSearchParams({
            client_id: 'body-client', redirect_uri: redirectUri, response_type: 'code', scope: 'openid profile email',
            code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
        });
        const back = new URL(await provider.consent(`${provider.uri}/auth?${ask}`, login));
        const answer = await fetch(`${provider.uri}/token`, {
            method: 'POST',
            body: new URLSearchParams({
                grant_type: 'authorization_code', code: back.searchParams.get('code'), redirect_uri: redirectUri,
                client_id: 'body-client', client_secret: 'a secret/with+signs and a space', code_verifier: verifier,
            }),
        });
        return (await answer.json()).id_token;
    }

    test('its identity token is a session; the first one makes the account, with a workspace', async () => {
        const mode = (await as(server)('GET', '/auth/mode')).body;
        assert.deepEqual([mode.mode, mode.issuer, mode.clientId], ['oidc', provider.uri, 'body-client']);
        const token = await signIn('ada');
        const account = await as(server, token)('GET', '/account');
        assert.equal(account.status, 200, account.text);
        assert.equal(account.body.user.email, 'ada@example.com');
        assert.equal(account.body.user.name, 'The ada');
        assert.equal(account.body.user.auth0Id, 'ada');
        assert.equal(account.body.user.emailVerified, true);
        const { items } = (await as(server, token)('GET', '/org-workspaces')).body;
        assert.equal(items.length, 1);
        const again = (await as(server, await signIn('ada'))('GET', '/account')).body;
        assert.equal(again.user.id, account.body.user.id);
        const made = await caller(server.apiUri, token)('POST', '/actions', { name: 'Mine' }, { 'x-membrane-workspace': items[0].key });
        assert.equal(made.status, 201, made.text);
    });

    test('an address that the provider did not verify is nobody', async () => {
        const { status, body } = await as(server, await signIn('eve'))('GET', '/account');
        assert.equal(status, 403);
        assert.match(body.message, /verified/);
    });

    test('passwords do not count here', async () => {
        const person = { email: 'ada@example.com', password: 'Correct-horse-1' };
        for (const path of ['/auth/login', '/auth/register', '/auth/password-reset'])
            assert.equal((await as(server)('POST', path, person)).status, 403, path);
    });
});

describe('a provider that says what it is told', () => {
    let provider, issuer, server, keys, other, down = false;
    before(async () => {
        [keys, other] = [1, 2].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }));
        provider = http.createServer((request, response) => {
            if (down) return response.writeHead(500).end();
            const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' };
            const answers = {
                '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
                '/keys': { keys: [jwk] },
            };
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify(answers[request.url] ?? {}));
        });
        await new Promise((done) => provider.listen(0, '127.0.0.1', done));
        issuer = `http://127.0.0.1:${provider.address().port}`;
        server = await startServer({ env: { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: 'console', OIDC_AUDIENCE: 'urn:api' } });
    });
    after(async () => {
        provider?.close();
        provider?.closeAllConnections();
        await server?.stop();
    });

    const now = () => Math.floor(Date.now() / 1000);
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const token = (claims = {}, header = {}, key = keys.privateKey) => {
        const payload = {
            iss: issuer, aud: 'console', sub: 's-1', email: 'jo@example.com', email_verified: true,
            iat: now(), exp: now() + 600, ...claims,
        };
        const text = `${part({ alg: 'RS256', kid: 'k1', ...header })}.${part(payload)}`;
        const signature = typeof key === 'string'
            ? createHmac('sha256', key).update(text).digest('base64url')
            : sign('RSA-SHA256', text, key).toString('base64url');
        return `${text}.${signature}`;
    };
    const account = (...args) => as(server, token(...args))('GET', '/account');

    test('without its keys nobody is let in, and nobody is called unknown', async () => {
        down = true;
        const { status, body } = await account({ sub: 'early' });
        assert.equal(status, 503);
        assert.equal(body.key, 'unavailable');
        down = false;
        // it is asked again a little later
        await until(async () => (await account()).status === 200, 'the keys', 60_000);
    });

    test('tokens are refused for every reason', async () => {
        const secret = keys.publicKey.export({ format: 'pem', type: 'spki' });
        const cases = {
            'another audience': [{ aud: 'other' }],
            'an access token for the API, of another client': [{ aud: ['urn:api'], azp: 'other' }],
            'over': [{ exp: now() - 600 }],
            'not yet': [{ nbf: now() + 600 }],
            'without an end': [{ exp: undefined }],
            'without a person': [{ sub: undefined }],
            'another key': [{}, {}, other.privateKey],
            'a secret': [{}, { alg: 'HS256' }, secret],
            'another issuer': [{ iss: 'http://elsewhere.example' }],
        };
        for (const [name, args] of Object.entries(cases)) assert.equal((await account(...args)).status, 401, name);
        const [head, payload] = token().split('.');
        const none = Buffer.from('{"alg":"none"}').toString('base64url');
        for (const forged of [`${none}.${payload}.`, `${head}.${payload}.`, `${head}.${payload}.AAAA`])
            assert.equal((await as(server, forged)('GET', '/account')).status, 401);
        assert.equal((await account({ aud: ['x', 'console'] })).status, 200);
        assert.equal((await account({ aud: ['urn:api'], azp: 'console' })).status, 200);
    });

    test('the same address of another subject is another account’s, and refused', async () => {
        assert.equal((await account({ sub: 's-2' })).status, 403);
        assert.equal((await account({ sub: 's-2', email: 'al@example.com' })).status, 200);
        assert.equal((await account({ sub: 's-3', email: undefined })).status, 403);
    });

    test('first tokens at once make one account', async () => {
        const answers = await Promise.all(
            Array.from({ length: 8 }, (_, n) => account({ sub: 'at-once', email: 'once@example.com', jti: `${n}` })),
        );
        answers.forEach((each) => assert.equal(each.status, 200, each.text));
        assert.equal(new Set(answers.map((each) => each.body.user.id)).size, 1);
    });

    test('who was invited by address comes in', async () => {
        const link = new URL(server.adminUri).searchParams.get('token');
        const session = (await as(server)('POST', '/auth/link', { token: link })).body.token;
        const owner = as(server, session);
        const { items } = (await owner('GET', '/org-workspaces')).body;
        const own = items.find((each) => each.key === server.workspaceKey);
        await owner('POST', `/orgs/${own.orgId}/users`, { email: 'guest@example.com' });
        const speak = as(server, token({ sub: 'guest', email: 'guest@example.com' }));
        const answer = await speak('GET', '/actions', undefined, { 'x-membrane-workspace': server.workspaceKey });
        assert.equal(answer.status, 200, answer.text);
    });
});
