// Mails that the server sends: signing up, invitations, new passwords; over a server that
// wants TLS and a password, or refuses (operations.md 8.2; S33 to S38 of its table).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort, startServer, until } from '../lib/server.mjs';
import { selfSigned, startSink } from '../lib/smtp.mjs';
import { caller } from '../lib/workspace.mjs';

const tokenIn = (mail) => new URL(mail.text.match(/https?:\S+/)[0]).searchParams.get('token');
const env = (port, more = {}) => ({
    SMTP_HOST: 'localhost',
    SMTP_PORT: String(port),
    EMAIL_FROM: 'membrane@example.com',
    EMAIL_FROM_NAME: 'Zoë’s Membrane',
    ...more,
});
async function owner(server) {
    const token = new URL(server.adminUri).searchParams.get('token'); // works once
    server.session ??= (await caller(server.apiUri)('POST', '/auth/link', { token })).body.token;
    return caller(server.apiUri, server.session);
}

describe('a server that takes everything', () => {
    let sink, server, call;
    before(async () => {
        sink = await startSink();
        server = await startServer({ env: env(sink.port) });
        call = caller(server.apiUri);
    });
    after(async () => {
        sink?.stop();
        await server?.stop();
    });

    test('who signs up gets a link that confirms the address', async () => {
        assert.deepEqual((await call('GET', '/auth/mode')).body, { mode: 'password', signUp: true, mail: true });
        const person = { email: 'ada@example.com', password: 'Correct-horse-1', name: 'Ada <b>' };
        assert.equal((await call('POST', '/auth/register', person)).status, 202);
        const mail = await sink.next();
        assert.deepEqual(mail.to, ['ada@example.com']);
        assert.equal(mail.from, 'membrane@example.com');
        assert.equal(mail.headers.from, 'Zoë’s Membrane <membrane@example.com>');
        assert.equal(mail.subject, 'Confirm your e-mail address');
        assert.match(mail.headers['message-id'], /^<[^<>@ ]+@example\.com>$/);
        assert.match(mail.text, /^Hello Ada <b>,/);
        assert.ok(mail.html.includes('Hello Ada &lt;b&gt;,') && !mail.html.includes('<b>'));
        assert.match(mail.html, /<a href="http[^"]*confirm-email\?token=[^"]+">/);
        assert.equal((await call('POST', '/auth/login', person)).status, 403);
        const confirmed = await call('POST', '/auth/confirm', { token: tokenIn(mail) });
        assert.equal(confirmed.status, 200, confirmed.text);
        assert.equal((await call('POST', '/auth/login', person)).status, 200);
        assert.notEqual((await call('POST', '/auth/confirm', { token: tokenIn(mail) })).status, 200);
    });

    test('a forgotten password is set anew by a link, and a notice follows', async () => {
        assert.equal((await call('POST', '/auth/password-reset', { email: 'nobody@example.com' })).status, 202);
        assert.equal((await call('POST', '/auth/password-reset', { email: 'ada@example.com' })).status, 202);
        const mail = await sink.next();
        assert.deepEqual(mail.to, ['ada@example.com']);
        const password = 'Correct-horse-2';
        const set = await call('POST', '/auth/password-reset/confirm', { token: tokenIn(mail), password });
        assert.equal(set.status, 200, set.text);
        assert.equal((await sink.next()).subject, 'Your password was changed');
        assert.equal((await call('POST', '/auth/login', { email: 'ada@example.com', password })).status, 200);
    });

    test('an invitation is mailed', async () => {
        const admin = await owner(server);
        const [org] = (await admin('GET', '/orgs')).body;
        await admin('POST', `/orgs/${org.id}/invitations`, { name: 'Bob', email: 'bob@example.com' });
        const mail = await sink.next();
        assert.deepEqual(mail.to, ['bob@example.com']);
        assert.match(mail.text, /org-invitations\//);
    });

    test('a test mail goes out at once, to one address only', async () => {
        const speak = await owner(server);
        const sent = await speak('POST', '/auth/test-email', { to: 'ops@example.com' });
        assert.equal(sent.status, 200, sent.text);
        assert.equal((await sink.next()).text.trim(), 'Mail works.');
        const bad = await speak('POST', '/auth/test-email', { to: 'a@b.example>\r\nRCPT TO:<c@d.example' });
        assert.equal(bad.status, 400);
        assert.equal(sink.mails.length, sink.mails.filter((mail) => mail.to.length === 1).length);
    });
});

test('a server that is not there yet is tried again', async () => {
    const port = await freePort();
    const server = await startServer({ env: env(port) });
    let sink;
    try {
        const person = { email: 'late@example.com', password: 'Correct-horse-1' };
        assert.equal((await caller(server.apiUri)('POST', '/auth/register', person)).status, 202);
        await until(() => server.stderr.includes('mail_refused') || server.stderr.includes('did not take'), 'the first try');
        sink = await startSink({ port });
        assert.deepEqual((await sink.next()).to, ['late@example.com']);
    } finally {
        sink?.stop();
        await server.stop();
    }
});

test('a refusal is told to who asks for a test mail, with the words of the server', async () => {
    const sink = await startSink({ refuse: () => true });
    const server = await startServer({ env: env(sink.port) });
    try {
        const { status, body } = await (await owner(server))('POST', '/auth/test-email', { to: 'ops@example.com' });
        assert.equal(status, 400);
        assert.equal(body.key, 'mail_refused');
        assert.match(body.message, /550 5\.1\.1 nobody here/);
    } finally {
        sink.stop();
        await server.stop();
    }
});

test('a password goes over TLS to a server whose certificate is known, or not at all', async () => {
    const auth = ['mailer', 'secret-of-mail'];
    const credentials = { SMTP_USER: auth[0], SMTP_PASSWORD: auth[1] };
    const tls = selfSigned();
    const cases = [
        ['TLS', { auth, tls }, { EXTRA_CA_FILE: tls.file }, { secure: true }],
        ['TLS from the start', { auth, tls, tlsFromTheStart: true }, { EXTRA_CA_FILE: tls.file, SMTP_SECURE: '1' }, { secure: true }],
        ['TLS, certificate unknown', { auth, tls }, {}, null],
        ['no TLS', { auth }, {}, null],
        ['no TLS, allowed', { auth }, { SMTP_ALLOW_PLAINTEXT: '1' }, { secure: false }],
        ['wrong password', { auth, tls }, { EXTRA_CA_FILE: tls.file, SMTP_PASSWORD: 'other' }, null],
    ];
    for (const [name, options, more, expected] of cases) {
        const sink = await startSink(options);
        const server = await startServer({ env: env(sink.port, { ...credentials, ...more }) });
        try {
            const { status, text } = await (await owner(server))('POST', '/auth/test-email', { to: 'ops@example.com' });
            assert.equal(status, expected ? 200 : 400, `${name}: ${text}`);
            assert.ok(!text.includes(auth[1]), name);
            if (expected) {
                const mail = await sink.next();
                assert.equal(mail.secure, expected.secure, name);
                assert.equal(mail.user, auth[0]);
            } else {
                assert.equal(sink.mails.length, 0, name);
            }
            assert.ok(!server.stderr.includes(auth[1]), name);
        } finally {
            sink.stop();
            await server.stop();
        }
    }
});
