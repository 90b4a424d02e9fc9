// A mail server that keeps what it gets: enough of SMTP for a client that sends.
//
//     const sink = await startSink({ auth, tls, refuse });
//     const mail = await sink.next();   // {from, to, subject, text, html, secure, user}
//     sink.stop();
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { TLSSocket, createSecureContext, createServer as createTlsServer } from 'node:tls';
import { tempDir, until } from './server.mjs';

// A certificate of its own for localhost: {key, cert, file}.
export function selfSigned() {
    const dir = tempDir();
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    execFileSync('openssl', [
        'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    ], { stdio: 'ignore' });
    return { key: readFileSync(key), cert: readFileSync(cert), file: cert };
}

const word = (text) =>
    text.replace(/=\?UTF-8\?B\?([^?]*)\?=/g, (_, data) => Buffer.from(data, 'base64').toString());

function parse(raw) {
    const [head, ...rest] = raw.split('\r\n\r\n');
    const headers = Object.fromEntries(
        head.replace(/\r\n[ \t]+/g, ' ').split('\r\n').map((line) => {
            const at = line.indexOf(':');
            return [line.slice(0, at).toLowerCase(), word(line.slice(at + 1).trim())];
        }),
    );
    const part = (type) => {
        const body = rest.join('\r\n\r\n').split(new RegExp(`Content-Type: ${type}`, 'i'))[1];
        return Buffer.from(body.split('\r\n\r\n')[1].split('\r\n--')[0], 'base64').toString();
    };
    return { headers, subject: headers.subject, text: part('text/plain'), html: part('text/html') };
}

function session(socket, options, mails) {
    let state = { to: [] }, data = null, pending = '', secure = Boolean(options.tlsFromTheStart), user, login = null;
    const say = (line) => state.socket.write(`${line}\r\n`);
    const known = (text) => {
        const [, name, password] = Buffer.from(text, 'base64').toString().split('\0');
        user = name;
        say(options.auth && options.auth[0] === name && options.auth[1] === password ? '235 ok' : '535 5.7.8 wrong password');
    };
    const command = (line) => {
        const verb = line.slice(0, 4).toUpperCase();
        if (login === 'plain') return (login = null), known(line);
        if (verb === 'EHLO') {
            say('250-sink');
            if (options.tls && !secure) say('250-STARTTLS');
            if (options.auth) say('250-AUTH PLAIN');
            return say('250 8BITMIME');
        }
        if (verb === 'HELO' || verb === 'RSET' || verb === 'NOOP') return say('250 ok');
        if (verb === 'STAR') {
            say('220 go on');
            socket.removeAllListeners('data');
            secure = true;
            return listen(new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(options.tls) }));
        }
        if (verb === 'AUTH') {
            const initial = line.split(' ')[2];
            if (initial) return known(initial);
            login = 'plain';
            return say('334 ');
        }
        if (verb === 'MAIL') return (state.from = line.match(/<(.*?)>/)[1]), say('250 ok');
        if (verb === 'RCPT') {
            if (options.refuse?.()) return say('550 5.1.1 nobody here');
            return state.to.push(line.match(/<(.*?)>/)[1]), say('250 ok');
        }
        if (verb === 'DATA') return (data = ''), say('354 go on');
        if (verb === 'QUIT') return say('221 bye'), state.socket.end();
        say('502 what?');
    };
    const take = (chunk) => {
        pending += chunk;
        for (let at; (at = pending.indexOf('\r\n')) >= 0; ) {
            const line = pending.slice(0, at);
            pending = pending.slice(at + 2);
            if (data === null) command(line);
            else if (line === '.') {
                mails.push({ ...parse(data), from: state.from, to: state.to, secure, user });
                data = null;
                state.to = [];
                say('250 taken');
            } else data += `${line.startsWith('..') ? line.slice(1) : line}\r\n`;
        }
    };
    const listen = (s) => {
        state.socket = s;
        s.setEncoding('utf8');
        s.on('data', take);
        s.on('error', () => {});
    };
    listen(socket);
    say('220 sink');
}

export async function startSink(options = {}) {
    const mails = [];
    const open = new Set();
    const begin = (socket) => {
        open.add(socket);
        session(socket, options, mails);
    };
    const server = options.tlsFromTheStart ? createTlsServer(options.tls, begin) : createServer(begin);
    server.on('tlsClientError', () => {});
    await new Promise((done) => server.listen(options.port ?? 0, '127.0.0.1', done));
    let taken = 0;
    return {
        port: server.address().port,
        mails,
        next: async () => (await until(() => mails.length > taken, 'a mail'), mails[taken++]),
        stop: () => (server.close(), open.forEach((socket) => socket.destroy())),
    };
}
