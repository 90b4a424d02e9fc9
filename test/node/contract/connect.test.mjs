// Connecting from a browser: the form, a real OpenID provider's consent, the way back, and
// the result by page, stream and redirect.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createHmac } from 'node:crypto';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import vm from 'node:vm';

import * as older from '@integration-app/sdk';
import * as newer from '@membranehq/sdk';
import OAuth from 'oauth-1.0a';

import { installBrowser } from '../lib/browser.mjs';
import { startProvider } from '../lib/provider.mjs';
import { runCommand, startServer, tempDir, until } from '../lib/server.mjs';
import { adminToken, caller, customerToken, workspaceOf } from '../lib/workspace.mjs';

const SECRET = 'a secret/with+signs and a space';
let server, provider, app, workspace, admin;

// The application behind the provider: says who an access token belongs to.
function startApp() {
    const listener = http.createServer(async (request, response) => {
        const auth = request.headers.authorization ?? '';
        let status = 401;
        if (request.url.startsWith('/oauth1/')) return oauth1(request, response);
        if (request.url.startsWith('/key')) status = request.headers['x-key'] === 'right' ? 200 : 401;
        else if (request.url.startsWith('/me'))
            status = (await fetch(`${provider.uri}/me`, { headers: { authorization: auth } })).status;
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ status }));
    });
    return new Promise((done) =>
        listener.listen(0, '127.0.0.1', () =>
            done({
                uri: `http://127.0.0.1:${listener.address().port}`,
                stop: () => (listener.close(), listener.closeAllConnections()),
            }),
        ),
    );
}

// The token endpoints of an OAuth 1 app: what a published library signs is what is accepted.
const verify = OAuth({
    consumer: { key: 'the key', secret: 'cons&umer' },
    signature_method: 'HMAC-SHA1',
    hash_function: (text, key) => createHmac('sha1', key).update(text).digest('base64'),
});
function oauth1(request, response) {
    const sent = Object.fromEntries(
        [...request.headers.authorization.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, decodeURIComponent(v)]),
    );
    const { oauth_signature, ...data } = sent;
    const url = `http://${request.headers.host}${request.url}`;
    const secret = sent.oauth_token ? 'request secret' : '';
    const right = verify.getSignature({ url, method: 'POST', data: {} }, secret, data);
    if (oauth_signature !== right || (sent.oauth_token && sent.oauth_verifier !== 'yes')) {
        response.writeHead(401, { 'content-type': 'text/plain' });
        return response.end('bad signature');
    }
    response.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' });
    response.end(
        sent.oauth_token
            ? 'oauth_token=access&oauth_token_secret=access%20secret&user_id=7'
            : `oauth_token=req-${encodeURIComponent(sent.oauth_nonce)}&oauth_token_secret=request%20secret&oauth_callback_confirmed=true`,
    );
}

const oauthFiles = (key, extra) => ({
    'spec.yml': `key: ${key}\nname: ${key}\nauth:\n  type: oauth2\n`,
    'auth/get-oauth-config.map.yml': [
        `clientSecret: ${SECRET}`,
        `authorizeUri: ${provider.uri}/auth?kept=1`,
        `tokenUri: ${provider.uri}/token`,
        'scopes: [openid, offline_access]',
        ...extra,
    ].join('\n'),
    'auth/make-api-client.map.yml': `baseUri: ${app.uri}\nheaders:\n  authorization:\n    $concat: ['Bearer ', {$var: $.credentials.access_token}]\n`,
    'auth/test.rest.yml': 'path: /me\nmethod: get\n',
});
const connectors = () => ({
    oauth: oauthFiles('oauth', ['clientId: header client', 'extra: {prompt: consent}']),
    'oauth-body': oauthFiles('oauth-body', ['clientId: body-client', 'clientAuthLocation: body', 'extra: {prompt: consent}']),
    'oauth-guess': oauthFiles('oauth-guess', ['clientId: body-client', 'extra: {prompt: consent}']),
    'oauth-mapped': {
        ...oauthFiles('oauth-mapped', ['clientId: header client', 'extra: {prompt: consent}']),
        'auth/get-credentials-from-access-token-response.map.yml':
            'access_token: {$var: $.tokenResponse.access_token}\nseen: {$var: $.queryParameters.iss}\n',
    },
    older: {
        'spec.yml': 'key: older\nname: Older\nauth:\n  type: oauth1\n',
        'auth/get-oauth-config.map.yml': `consumerKey: the key\nconsumerSecret: cons&umer\nrequestTokenUri: ${app.uri}/oauth1/request?scope=a%20b&s=1&scope1=x\nauthorizeUri: ${app.uri}/authorize\ntokenUri: ${app.uri}/oauth1/access\nextra: {screen: small}\n`,
        'auth/make-api-client.map.yml': `baseUri: ${app.uri}\nheaders: {x-key: right}\n`,
        'auth/test.rest.yml': 'path: /key\nmethod: get\n',
    },
    own: {
        ...oauthFiles('own', ['clientId: own', 'skipPkce: true']),
        'auth/get-token-data.map.yml':
            'access_token: {$var: $.queryParameters.code}\nredirect: {$var: $.redirectUri}\nexpires_in: 60\n',
        'auth/make-api-client.map.yml': `baseUri: ${app.uri}\nheaders: {x-key: {$var: $.credentials.access_token}}\n`,
        'auth/test.rest.yml': 'path: /key\nmethod: get\n',
    },
    several: {
        'spec.yml':
            "key: several\nname: Several\nauth:\n  options:\n    sandbox: {title: '<b>Sandbox</b>', type: client-credentials}\n    live: {title: Live, type: client-credentials}\n",
        'auth/make-api-client.map.yml': `baseUri: ${app.uri}\nheaders: {x-key: right}\n`,
        'auth/test.rest.yml': 'path: /key\nmethod: get\n',
    },
    keyed: {
        'spec.yml':
            'key: keyed\nname: Keyed\nauth:\n  type: client-credentials\n  inputSchema: {type: object, properties: {key: {type: string}}, required: [key]}\n',
        'auth/make-api-client.map.yml': `baseUri: ${app.uri}\nheaders: {x-key: {$var: $.credentials.key}}\n`,
        'auth/test.rest.yml': 'path: /key\nmethod: get\n',
    },
});

async function upload(files) {
    const dir = tempDir();
    for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
    }
    const r = await runCommand(['connector', 'upload', dir], {
        MEMBRANE_API_URI: server.apiUri,
        MEMBRANE_WORKSPACE_KEY: server.workspaceKey,
        MEMBRANE_WORKSPACE_SECRET: server.workspaceSecret,
    });
    assert.equal(r.code, 0, r.stderr + r.stdout);
}

before(async () => {
    server = await startServer({ env: { PRIVATE_NETWORK_ALLOW: '127.0.0.1' } });
    workspace = workspaceOf(server);
    admin = caller(server.apiUri, adminToken(workspace));
    [provider, app] = await Promise.all([
        startProvider({ redirectUri: `${server.apiUri}/oauth-callback` }),
        startApp(),
    ]);
    for (const [key, files] of Object.entries(connectors())) {
        await upload(files);
        const { status, text } = await admin('POST', '/integrations', { key, name: key, connectorKey: key });
        assert.ok(status < 300, text);
    }
});
after(async () => {
    app?.stop();
    provider?.stop();
    await server?.stop();
});

let count = 0;
const newId = () => `request${String(++count).padStart(15, '0')}`;
const payloadOf = (customer, integrationKey, more) => ({
    token: customerToken(workspace, customer),
    integrationKey,
    requestId: newId(),
    ...more,
});
const post = (payload, path = '/connect') =>
    fetch(server.apiUri + path, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({ payload: JSON.stringify(payload) }),
    });
const callback = (url) => fetch(url, { redirect: 'manual' });

// Runs the page's script as a browser does: what did its opener get, and was it closed?
async function runPage(answer, { framed = false } = {}) {
    const html = await answer.text();
    const [, nonce, script] = /<script nonce="([^"]+)">([\s\S]*?)<\/script>/.exec(html);
    const policy = answer.headers.get('content-security-policy');
    const got = { messages: [], closed: false, html };
    const host = { postMessage: (message, origin) => got.messages.push({ message: structuredClone(message), origin }) };
    const window = framed ? { parent: host } : { opener: host, close: () => (got.closed = true) };
    if (!framed) window.parent = window;
    assert.match(policy, new RegExp(`script-src 'nonce-${nonce.replace(/[+]/g, '\\+')}'`));
    assert.match(answer.headers.get('content-type'), /^text\/html/);
    assert.equal(answer.headers.get('x-frame-options'), null);
    assert.equal(answer.headers.get('cross-origin-opener-policy'), null);
    vm.runInNewContext(script, { window, setTimeout: (fn) => fn() });
    assert.equal(got.messages.length, 1);
    assert.equal(got.messages[0].origin, '*');
    return { ...got, message: JSON.parse(JSON.stringify(got.messages[0].message)) };
}

// The whole way: gives the answer of the callback.
async function connect(payload, login = 'ada', deny = false) {
    const started = await post(payload);
    assert.equal(started.status, 302, await started.clone().text());
    return callback(await provider.consent(started.headers.get('location'), login, deny));
}
const read = async (id) => (await admin('GET', `/connections/${id}?includeSecrets=true`)).body;

test('a form starts the consent of the app with PKCE and a state that has the custom part', async () => {
    const answer = await post(payloadOf('ada', 'oauth', { customState: 'mine:1' }));
    const url = new URL(answer.headers.get('location'));

    assert.equal(answer.status, 302);
    assert.equal(url.origin, provider.uri);
    assert.equal(url.searchParams.get('kept'), '1');
    assert.equal(url.searchParams.get('response_type'), 'code');
    assert.equal(url.searchParams.get('client_id'), 'header client');
    assert.equal(url.searchParams.get('redirect_uri'), `${server.apiUri}/oauth-callback`);
    assert.equal(url.searchParams.get('scope'), 'openid offline_access');
    assert.equal(url.searchParams.get('prompt'), 'consent');
    assert.equal(url.searchParams.get('code_challenge_method'), 'S256');
    assert.match(url.searchParams.get('code_challenge'), /^[\w-]{43}$/);
    assert.match(url.searchParams.get('state'), /^[\w-]{43}:mine:1$/);
    assert.doesNotMatch(url.href, /eyJ/, 'the token stays here');
});

test('consent makes a connection, whose page tells the opener and closes', async () => {
    const payload = payloadOf('ada', 'oauth', { name: 'Ada </script> & Co', customState: 'x' });
    const answer = await connect(payload);
    const page = await runPage(answer);
    const { connection } = page.message;
    const stored = await read(connection.id);

    assert.equal(answer.status, 200);
    assert.equal(page.closed, true);
    assert.equal(page.message.source, 'integration.app');
    assert.equal(page.message.type, 'newConnectionCreated');
    assert.equal(page.message.requestId, payload.requestId);
    assert.equal(connection.name, 'Ada </script> & Co');
    assert.equal(connection.connected, true);
    assert.equal(connection.canRefreshCredentials, true);
    assert.equal('credentials' in connection, false);
    assert.doesNotMatch(page.html, /access_token/);
    assert.ok(stored.credentials.access_token && stored.credentials.refresh_token);
    assert.ok(stored.credentials.expires_at > Date.now() / 1000);
    assert.ok(new Date(stored.nextCredentialsRefreshAt) > new Date());
});

for (const key of ['oauth-body', 'oauth-guess'])
    test(`the client proves itself in the body where the app wants it so: ${key}`, async () => {
        const page = await runPage(await connect(payloadOf('ada', key)));

        assert.equal(page.message.type, 'newConnectionCreated', JSON.stringify(page.message));
    });

test('a connector makes its own credentials of the token response', async () => {
    const page = await runPage(await connect(payloadOf('ada', 'oauth-mapped')));
    const { credentials } = await read(page.message.connection.id);

    assert.deepEqual(Object.keys(credentials).sort(), ['access_token', 'seen']);
    assert.equal(credentials.seen, provider.uri);
});

test('refreshing rotates the refresh token and keeps the new one', async () => {
    const { message } = await runPage(await connect(payloadOf('bob', 'oauth'), 'bob'));
    const { id } = message.connection;
    const before = (await read(id)).credentials;

    for (let i = 0; i < 2; i++) {
        const { status, text } = await admin('POST', `/connections/${id}/refresh-credentials`);
        assert.ok(status < 300, text);
    }
    const now = (await read(id)).credentials;
    assert.notEqual(now.refresh_token, before.refresh_token);
    assert.notEqual(now.access_token, before.access_token);
    assert.equal((await admin('POST', `/connections/${id}/test`)).body.success, true);
});

test('connecting again keeps the connection, unless several are wanted', async () => {
    const first = (await runPage(await connect(payloadOf('cyd', 'oauth')))).message.connection;
    const again = (await runPage(await connect(payloadOf('cyd', 'oauth')))).message.connection;
    const other = (await runPage(await connect(payloadOf('cyd', 'oauth', { allowMultipleConnections: true })))).message.connection;
    const named = (await runPage(await connect(payloadOf('cyd', undefined, { connectionId: first.id })))).message.connection;

    assert.equal(again.id, first.id);
    assert.notEqual(other.id, first.id);
    assert.equal(named.id, first.id);
});

test("nobody reconnects another customer's connection", async () => {
    const { connection } = (await runPage(await connect(payloadOf('dan', 'oauth')))).message;
    const answer = await post(payloadOf('eve', undefined, { connectionId: connection.id }));
    const { message } = await runPage(answer);

    assert.equal(answer.status, 404);
    assert.equal(message.type, 'newConnectionFailure');
    assert.equal(message.errorData.key, 'not_found');
});

test('a state that nobody was given, or that was used, ends on a page', async () => {
    const started = await post(payloadOf('ada', 'oauth'));
    const back = await provider.consent(started.headers.get('location'), 'ada');
    assert.equal((await runPage(await callback(back))).message.type, 'newConnectionCreated');

    const wrong = new URL(back);
    wrong.searchParams.set('state', 'x'.repeat(43));
    for (const url of [back, wrong.href, `${server.apiUri}/oauth-callback`, `${server.apiUri}/oauth-callback?code=1`]) {
        const answer = await callback(url);
        const { message } = await runPage(answer);

        assert.equal(answer.status, 400);
        assert.equal(message.type, 'newConnectionFailure');
        assert.equal(message.errorData.type, 'bad_request');
        assert.equal('requestId' in message, false);
    }
});

test('a code that was used, with a state of its own, makes no connection', async () => {
    const first = await post(payloadOf('fay', 'oauth'));
    const back = new URL(await provider.consent(first.headers.get('location'), 'fay'));
    await callback(back);
    const second = await post(payloadOf('gus', 'oauth'));
    back.searchParams.set('state', new URL(second.headers.get('location')).searchParams.get('state'));
    const { message } = await runPage(await callback(back));
    const { items } = (await caller(server.apiUri, customerToken(workspace, 'gus'))('GET', '/connections')).body;

    assert.equal(message.type, 'newConnectionFailure');
    assert.equal(message.errorData.type, 'connection');
    assert.deepEqual(items, []);
});

test("a connector's own exchange, without PKCE, by the integration's own callback", async () => {
    const oAuthCallbackUri = 'https://host.example/callback';
    const changed = await admin('PATCH', '/integrations/own', { oAuthCallbackUri });
    assert.ok(changed.status < 300, changed.text);
    const url = new URL((await post(payloadOf('yan', 'own'))).headers.get('location'));
    const back = new URLSearchParams({ state: url.searchParams.get('state'), code: 'right' });
    const { message } = await runPage(await callback(`${server.apiUri}/oauth-callback?${back}`));

    assert.equal(url.searchParams.get('redirect_uri'), oAuthCallbackUri);
    assert.equal(url.searchParams.get('code_challenge'), null);
    assert.equal(message.type, 'newConnectionCreated', JSON.stringify(message));
    const { credentials } = await read(message.connection.id);
    assert.equal(credentials.redirect, oAuthCallbackUri);
    assert.ok(credentials.expires_at <= Date.now() / 1000 + 61);
});

test('an identity token of another attempt makes no connection', async () => {
    const url = new URL((await post(payloadOf('wim', 'oauth'))).headers.get('location'));
    assert.match(url.searchParams.get('nonce'), /^[0-9a-f]{64}$/);
    url.searchParams.set('nonce', 'another');
    const { message } = await runPage(await callback(await provider.consent(url.href, 'wim')));

    assert.equal(message.type, 'newConnectionFailure');
    assert.match(message.error, /another attempt/);
});

test('a consent that is denied leaves nothing but a written attempt', async () => {
    const payload = payloadOf('hal', 'oauth');
    const { message } = await runPage(await connect(payload, 'hal', true));
    const hal = caller(server.apiUri, customerToken(workspace, 'hal'));
    const attempts = (await hal('GET', '/connection-attempt-logs')).body.items;

    assert.equal(message.type, 'newConnectionFailure');
    assert.equal(message.requestId, payload.requestId);
    assert.equal(message.errorData.data.error, 'access_denied');
    assert.deepEqual((await hal('GET', '/connections')).body.items, []);
    assert.equal(attempts[0].status, 'error');
});

test('with redirectUri the browser goes there with the connection or the error', async () => {
    const payload = payloadOf('ida', 'oauth', { redirectUri: 'https://host.example/done?a=1#/tab' });
    const good = new URL((await connect(payload)).headers.get('location'));
    const bad = new URL((await connect({ ...payload, requestId: newId() }, 'ida', true)).headers.get('location'));

    assert.equal(good.href.split('?')[0], 'https://host.example/done');
    assert.equal(good.searchParams.get('a'), '1');
    assert.equal(good.hash, '#/tab');
    assert.equal((await read(good.searchParams.get('connectionId'))).connected, true);
    assert.ok(bad.searchParams.get('error'));
    assert.equal(JSON.parse(bad.searchParams.get('errorData')).type, 'connection');
    assert.equal(bad.searchParams.get('connectionId'), null);
});

test('only web addresses are redirected to, and only for a valid token', async () => {
    for (const redirectUri of ['javascript:alert(1)', 'data:text/html,x', '//evil.example', 'https://a.example\\@b'])
        assert.equal((await runPage(await post(payloadOf('ada', 'keyed', { redirectUri })))).message.errorData.data.path, 'redirectUri');
    for (const token of [undefined, 'nonsense']) {
        const answer = await post({ ...payloadOf('ada', 'keyed', { redirectUri: 'https://evil.example/' }), token });

        assert.equal(answer.status, 401);
        assert.equal((await runPage(answer)).message.type, 'newConnectionFailure');
    }
});

test('client credentials connect at once in the hidden frame', async () => {
    const payload = payloadOf('ada', 'keyed', { input: { key: 'right' } });
    const page = await runPage(await post(payload), { framed: true });

    assert.equal(page.closed, false);
    assert.equal(page.message.type, 'newConnectionCreated', JSON.stringify(page.message));
    assert.deepEqual((await read(page.message.connection.id)).credentials, { key: 'right' });
});

test('wrong and missing input is a failure, and nothing is stored', async () => {
    const wrong = await runPage(await post(payloadOf('jon', 'keyed', { input: { key: 'wrong' } })), { framed: true });
    const none = await runPage(await post(payloadOf('jon', 'keyed')), { framed: true });
    const jon = caller(server.apiUri, customerToken(workspace, 'jon'));

    assert.equal(wrong.message.errorData.type, 'connection');
    assert.equal(none.message.errorData.type, 'bad_request');
    assert.deepEqual((await jon('GET', '/connections')).body.items, []);
});

test('of several ways to connect the person chooses one', async () => {
    const answer = await post(payloadOf('xen', 'several', { name: '"><i>' }));
    const html = await answer.text();
    const forms = [...html.matchAll(/name="payload" value="([^"]*)"><button>(.*?)<\/button>/g)];
    const text = (s) => s.replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n));

    assert.equal(answer.status, 200);
    assert.deepEqual(forms.map((f) => text(f[2])).sort(), ['<b>Sandbox</b>', 'Live']);
    assert.doesNotMatch(html, /<b>|<i>|<script/);
    for (const [, payload, title] of forms) {
        const { message } = await runPage(await post(JSON.parse(text(payload))));

        assert.equal(message.connection?.authOptionKey, title === 'Live' ? 'live' : 'sandbox', JSON.stringify(message));
        assert.equal(message.connection.name, '"><i>');
    }
});

test('the older address reads the query, texts and JSON alike', async () => {
    const { input, ...fields } = payloadOf('kim', 'keyed');
    const query = new URLSearchParams({ ...fields, connectionParameters: '{"key":"right"}', name: 'Kim' });
    const answer = await fetch(`${server.apiUri}/connection-popup?${query}`);
    const { message } = await runPage(answer);

    assert.equal(message.connection?.name, 'Kim', JSON.stringify(message));
});

test('what a payload says never becomes markup', async () => {
    const evil = '</script><script>alert(1)</script>\u2028<img src=x onerror=alert(1)>';
    const { html, message } = await runPage(await post(payloadOf('ada', evil, { requestId: evil.slice(0, 90) })));

    assert.equal(message.type, 'newConnectionFailure');
    assert.doesNotMatch(html, /<img|alert\(1\)<\/script>/);
    for (const bad of ['{', '[]', '"x"', '1'])
        assert.equal(
            (await runPage(await fetch(`${server.apiUri}/connect`, { method: 'POST', body: new URLSearchParams({ payload: bad }) }))).message.type,
            'newConnectionFailure',
        );
});

// Reads a stream until its first event with data; gives the event.
async function firstEvent(answer) {
    let text = '';
    for await (const chunk of answer.body) {
        text += Buffer.from(chunk).toString();
        const data = /^data: (.*)\n\n/m.exec(text);
        if (data) return JSON.parse(data[1]);
    }
    throw new Error(`the stream ended: ${text}`);
}
const listen = (requestId, customer) =>
    fetch(`${server.apiUri}/sse/connection-events/${requestId}${customer ? `?token=${customerToken(workspace, customer)}` : ''}`, {
        headers: { origin: 'https://host.example' },
    });

test('the stream that was opened before carries the message of the page', async () => {
    const payload = payloadOf('lea', 'oauth');
    const opened = await listen(payload.requestId, 'lea');
    const event = firstEvent(opened);
    const { message } = await runPage(await connect(payload));

    assert.match(opened.headers.get('content-type'), /^text\/event-stream/);
    assert.equal(opened.headers.get('access-control-allow-origin'), '*');
    assert.deepEqual(await event, message);
});

test('a late stream, and one without a token, gets the message; another customer does not', async () => {
    const payload = payloadOf('max', 'keyed', { input: { key: 'right' } });
    const stranger = await listen(payload.requestId, 'ned');
    const strange = firstEvent(stranger).catch(() => 'nothing');
    const { message } = await runPage(await post(payload), { framed: true });

    assert.deepEqual(await firstEvent(await listen(payload.requestId, 'max')), message);
    assert.deepEqual(await firstEvent(await listen(payload.requestId)), message);
    assert.equal((await fetch(`${server.apiUri}/sse/connection-events/x?token=wrong`)).status, 401);
    assert.equal(await Promise.race([strange, 'still waiting']), 'still waiting');
});

test('a connect call finishes the connection request that it names', async () => {
    const ora = caller(server.apiUri, customerToken(workspace, 'ora'));
    const make = async () => (await ora('POST', '/connection-requests', { integrationKey: 'keyed' })).body.requestId;
    const [good, bad] = [await make(), await make()];
    const answerOf = async (connectionRequestId, key) =>
        (await runPage(await post({ token: customerToken(workspace, 'ora'), connectionRequestId, input: { key } }))).message;
    const { connection } = await answerOf(good, 'right');
    await answerOf(bad, 'wrong');
    const ended = (await ora('GET', `/connection-requests/${good}`)).body;
    const failed = (await ora('GET', `/connection-requests/${bad}`)).body;

    assert.equal(ended.status, 'success');
    assert.equal(ended.resultConnectionId, connection.id);
    assert.equal(failed.status, 'error');
    assert.equal(failed.resultError.type, 'connection');
    assert.equal((await answerOf(good, 'right')).type, 'newConnectionFailure');
});

test("an application's own callback passes on a code with a token instead of a state", async () => {
    const answer = await fetch(
        `${server.apiUri}/oauth-callback?integration=oauth&code=unknown&token=${customerToken(workspace, 'pia')}&redirectUri=https://host.example/`,
        { redirect: 'manual' },
    );

    assert.match(answer.headers.get('location'), /^https:\/\/host\.example\/\?error=/);
});

test('OAuth 1: signed request token, consent, access token; the request token works once', async () => {
    const started = await post(payloadOf('quy', 'older'));
    assert.equal(started.status, 302, await started.clone().text());
    const url = new URL(started.headers.get('location'));
    const back = `${server.apiUri}/oauth-callback?oauth_token=${url.searchParams.get('oauth_token')}&oauth_verifier=yes`;
    const { message } = await runPage(await callback(back));

    assert.equal(url.searchParams.get('screen'), 'small');
    assert.equal(message.type, 'newConnectionCreated', JSON.stringify(message));
    assert.deepEqual((await read(message.connection.id)).credentials, {
        oauth_token: 'access',
        oauth_token_secret: 'access secret',
        user_id: '7',
    });
    assert.equal((await runPage(await callback(back))).message.errorData.type, 'bad_request');
});

test('OAuth 1: a refusal and a wrong verifier make no connection', async () => {
    for (const query of ['denied=TOKEN', 'oauth_token=TOKEN&oauth_verifier=no', 'oauth_token=TOKEN']) {
        const url = new URL((await post(payloadOf('roy', 'older'))).headers.get('location'));
        const token = url.searchParams.get('oauth_token');
        const { message } = await runPage(await callback(`${server.apiUri}/oauth-callback?${query.replace('TOKEN', token)}`));

        assert.equal(message.type, 'newConnectionFailure');
        assert.ok(message.requestId);
    }
});

test('a revoked grant ends the connection for good', async () => {
    const { connection } = (await runPage(await connect(payloadOf('sam', 'oauth'), 'sam'))).message;
    const { credentials } = await read(connection.id);
    const answer = await fetch(`${provider.uri}/token/revocation`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${encodeURIComponent('header client')}:${encodeURIComponent(SECRET)}`).toString('base64')}` },
        body: new URLSearchParams({ token: credentials.refresh_token }),
    });
    assert.equal(answer.status, 200);
    const refreshed = await admin('POST', `/connections/${connection.id}/refresh-credentials`);
    const ended = await read(connection.id);

    assert.equal(refreshed.status, 400);
    assert.equal(ended.isDefunct, true);
    assert.equal(ended.connected, false);
    const again = (await runPage(await connect(payloadOf('sam', 'oauth'), 'sam'))).message.connection;
    assert.equal(again.id, connection.id);
    assert.equal(again.connected, true);
    assert.equal(again.isDefunct, false);
});

test('no log of the calls to the app holds a secret', async () => {
    const { connection } = (await runPage(await connect(payloadOf('uma', 'oauth'), 'uma'))).message;
    await admin('POST', `/connections/${connection.id}/refresh-credentials`);
    const { credentials } = await read(connection.id);
    const logs = await until(async () => {
        const { items } = (await admin('GET', `/external-api-logs?connectionId=${connection.id}`)).body;
        return items.length >= 3 && items;
    }, 'the logs of three calls');
    const texts = await Promise.all(logs.map(async (l) => (await admin('GET', `/external-api-logs/${l.id}/details`)).text));
    const sent = provider.seen.filter((s) => s.body && (s.body.refresh_token === credentials.refresh_token || s.params.code)).at(-1);
    const secrets = [credentials.access_token, credentials.refresh_token, credentials.id_token, SECRET, encodeURIComponent(SECRET)];
    for (const s of provider.seen)
        secrets.push(...[s.params?.code, s.params?.code_verifier, s.params?.refresh_token, s.body?.access_token].filter(Boolean));

    assert.ok(sent);
    for (const text of [...texts, JSON.stringify(logs), server.stderr])
        for (const secret of secrets) assert.equal(text.includes(secret), false, `${secret} in ${text.slice(0, 3000)}`);
});

test('an open stream does not hold up the end of the server', async () => {
    const own = await startServer();
    const opened = await fetch(`${own.apiUri}/sse/connection-events/${newId()}`);
    const reader = opened.body.getReader();
    await reader.read();
    const begin = Date.now();
    const { code } = await own.stop();

    assert.equal(code, 0);
    assert.ok(Date.now() - begin < 10_000);
});

const sdks = {
    '@membranehq/sdk': (token) => new newer.MembraneClient({ token, apiUri: server.apiUri }),
    '@integration-app/sdk': (token) => new older.IntegrationAppClient({ token, apiUri: server.apiUri }),
};
for (const [name, make] of Object.entries(sdks))
    for (const channel of ['window', 'stream'])
        test(`${name} connects and reconnects; the result comes by ${channel}`, async () => {
            const who = `${name}-${channel}`;
            const client = make(customerToken(workspace, who));
            const browser = installBrowser({
                channel,
                visit: (url) => provider.consent(url, 'tom'),
                isOurs: (url) => url.startsWith(server.apiUri),
            });
            try {
                const connection = await client.integration('oauth').connect();
                const again = await client.connection(connection.id).reconnect();
                const keyed = await client.integration('keyed').connect({ input: { key: 'right' }, parameters: { key: 'right' } });

                assert.equal(connection.connected, true);
                assert.equal(again.id, connection.id);
                assert.equal(keyed.connected, true);
                await assert.rejects(
                    client.integration('keyed').connect({ input: { key: 'wrong' }, parameters: { key: 'wrong' } }),
                    (error) => error.data.type === 'connection',
                );
                assert.deepEqual(browser.problems, []);
            } finally {
                browser.uninstall();
            }
        });
