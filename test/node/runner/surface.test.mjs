// What docs/custom-code.md promises, item by item, checked from the inside of jobs; and axios as published. S122.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { startRunner } from './runner.mjs';

let app, uri, runner;
before(async () => {
    app = createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part)).on('end', () => {
            if (request.url.startsWith('/redirect')) return response.writeHead(307, { location: '/there' }).end();
            if (request.url.startsWith('/bytes')) return response.writeHead(200, { 'content-type': 'image/png' }).end(Buffer.from([0, 255, 128, 1]));
            if (request.url === '/lines') return response.end('a\nb\nc\n');
            if (request.url === '/never') return undefined;
            if (request.url === '/bad-json') return response.writeHead(200, { 'content-type': 'application/json' }).end('{"a":');
            if (request.url === '/large') return response.end(Buffer.alloc(21 * 1024 * 1024));
            response.writeHead(request.url.startsWith('/teapot') ? 418 : 200, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
            response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(parts).toString('latin1') }));
        });
    });
    await new Promise((done) => app.listen(0, '127.0.0.1', done));
    uri = `http://127.0.0.1:${app.address().port}`;
    runner = await startRunner({ RUNNER_EGRESS_ALLOW: '127.0.0.1/32' });
});
after(async () => {
    app.closeAllConnections();
    app.close();
    await runner.stop();
});
const ok = async (code, args = {}, more) => {
    const { status, body } = await runner.run(code, { uri, ...args }, more);
    assert.equal(status, 200, JSON.stringify(body));
    return body.result;
};
// An object of checks, each of which must be true.
const all = async (code) => {
    const results = await ok(code);
    for (const [name, value] of Object.entries(results)) assert.equal(value, true, name);
    return Object.keys(results).length;
};

test('globals of the language and of the web', () => all(`export default async () => {
    const bytes = new TextEncoder().encode('é'), events = new EventTarget(), controller = new AbortController();
    let heard = 0;
    events.addEventListener('x', () => heard++);
    events.dispatchEvent(new Event('x'));
    const order = [];
    setTimeout(() => order.push('timeout'), 1); setImmediate(() => order.push('immediate'));
    queueMicrotask(() => order.push('microtask')); process.nextTick(() => order.push('tick'));
    await new Promise((done) => setTimeout(done, 20));
    await new Promise((done) => setImmediate(done));
    const ticks = await new Promise((done) => { let n = 0; const t = setInterval(() => { if (++n === 3) { clearInterval(t); done(n); } }, 1); });
    const aborted = await new Promise((done) => { controller.signal.addEventListener('abort', () => done(controller.signal.reason)); controller.abort(new Error('why')); });
    const timed = await new Promise((done) => { const s = AbortSignal.timeout(5); s.onabort = () => done(s.reason.name); });
    const { readable, writable } = new CompressionStream('gzip');
    const writer = writable.getWriter(); writer.write(bytes); writer.close();
    const packed = await new Response(readable).arrayBuffer();
    const form = new FormData(); form.append('a', '1'); form.append('f', new Blob(['xy'], { type: 'text/plain' }), 'f.txt');
    const channel = new MessageChannel();
    const message = await new Promise((done) => { channel.port1.onmessage = (e) => { channel.port1.close(); done(e.data); }; channel.port2.postMessage({ a: 1 }); });
    const streamed = []; for await (const part of new Blob(['abc']).stream()) streamed.push(...part);
    return {
        text: new TextDecoder().decode(bytes) === 'é' && bytes.length === 2,
        buffer: Buffer.from('aGk=', 'base64').toString() === 'hi' && Buffer.concat([Buffer.from('a'), Buffer.alloc(1)]).length === 2,
        url: new URL('/b?c=1', 'https://a.example/x').href === 'https://a.example/b?c=1' && new URLSearchParams({ a: 'b c' }).toString() === 'a=b+c' && URL.canParse('https://a') === true,
        base64: atob(btoa('héllo')) === 'héllo',
        clone: (() => { const a = { m: new Map([[1, new Date(0)]]) }; a.self = a; const b = structuredClone(a); return b.self === b && b.m.get(1).getTime() === 0; })(),
        timers: order.join() === 'microtask,tick,immediate,timeout' || order.join() === 'tick,microtask,immediate,timeout' || order.join() === 'microtask,tick,timeout,immediate' || order.join() === 'tick,microtask,timeout,immediate',
        interval: ticks === 3, events: heard === 1, abort: aborted.message === 'why', timeout: timed === 'TimeoutError',
        compression: packed.byteLength > 10, form: [...form.keys()].join() === 'a,f' && form.get('f').size === 2,
        channel: message.a === 1, blob: streamed.length === 3 && (await new Blob(['a', 'b']).text()) === 'ab',
        intl: new Intl.NumberFormat('de-DE').format(1234.5) === '1.234,5' && new Date(0).toLocaleDateString('en-GB', { timeZone: 'Europe/Berlin' }) === '01/01/1970',
        es: Object.groupBy([1, 2], (x) => (x % 2 ? 'odd' : 'even')).odd[0] === 1 && [3, 1].toSorted()[0] === 1 && 'a-b'.replaceAll('-', '+') === 'a+b' && 10n ** 20n > 1n,
        wasm: typeof WebAssembly.instantiate === 'function', response: (await Response.json({ a: 1 }).json()).a === 1, headers: new Headers({ A: '1' }).get('a') === '1',
        performance: performance.now() > 0, process: Object.keys(process.env).length === 0 && process.cwd() === '/' && process.version.startsWith('v'),
        data: (await (await fetch('data:text/plain,hi')).text()) === 'hi',
        global: globalThis === global && typeof require === 'undefined' && typeof module === 'undefined',
    };
}`));

test('crypto: hashes, HMAC, ciphers, signatures, keys, random, subtle', () => all(`import crypto, { createHash, createHmac, randomBytes, timingSafeEqual, generateKeyPairSync, createSign, createVerify, scryptSync, pbkdf2Sync } from 'crypto';
import { promisify } from 'node:util';
export default async () => {
    const { subtle } = globalThis.crypto, data = new TextEncoder().encode('data');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const signature = createSign('RSA-SHA256').update('x').sign(rsa.privateKey);
    const cipher = crypto.createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12)); const box = Buffer.concat([cipher.update('secret'), cipher.final()]);
    const decipher = crypto.createDecipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12)); decipher.setAuthTag(cipher.getAuthTag());
    const hmac = await subtle.importKey('raw', data, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
    const mac = await subtle.sign('HMAC', hmac, data);
    const ec = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const ecSignature = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, ec.privateKey, data);
    const aes = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']); const iv = globalThis.crypto.getRandomValues(new Uint8Array(12));
    const sealed = await subtle.encrypt({ name: 'AES-GCM', iv }, aes, data);
    const derived = await promisify(crypto.pbkdf2)('p', 's', 1000, 32, 'sha256');
    return {
        hash: createHash('sha1').update('a').digest('hex') === '86f7e437faa5a7fce15d1ddcb9eaeaea377667b8', md5: createHash('md5').update('').digest('base64') === '1B2M2Y8AsgTpgAmY7PhCfg==',
        hmac: createHmac('sha256', 'key').update('The quick brown fox jumps over the lazy dog').digest('hex') === 'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8',
        random: randomBytes(8).length === 8 && /^[0-9a-f-]{36}$/.test(crypto.randomUUID()) && crypto.randomInt(5) < 5, equal: timingSafeEqual(Buffer.from('a'), Buffer.from('a')),
        rsa: createVerify('RSA-SHA256').update('x').verify(rsa.publicKey, signature), gcm: decipher.update(box) + decipher.final() === 'secret',
        kdf: scryptSync('p', 's', 16).length === 16 && pbkdf2Sync('p', 's', 1000, 32, 'sha256').equals(derived),
        digest: Buffer.from(await subtle.digest('SHA-512', data)).length === 64, verify: await subtle.verify('HMAC', hmac, mac, data),
        ecdsa: await subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, ec.publicKey, ecSignature, data), aes: new TextDecoder().decode(await subtle.decrypt({ name: 'AES-GCM', iv }, aes, sealed)) === 'data',
        jwk: (await subtle.exportKey('jwk', ec.publicKey)).kty === 'EC',
    };
}`));

test('modules of Node and packages', () => all(`import assert from 'assert'; import { EventEmitter, once } from 'events'; import path from 'path'; import qs from 'querystring'; import { Readable, Transform } from 'stream';
import { pipeline } from 'node:stream/promises'; import { setTimeout as sleep } from 'timers/promises'; import util from 'util'; import zlib from 'zlib'; import { AsyncLocalStorage } from 'async_hooks'; import url from 'url'; import { StringDecoder } from 'string_decoder';
import _, { chunk } from 'lodash'; import jsonata from 'jsonata'; import * as ns from 'lodash';
export default async () => {
    const emitter = new EventEmitter(), parts = []; setTimeout(() => emitter.emit('x', 1), 1);
    await pipeline(Readable.from(['a', 'b']), new Transform({ transform: (c, e, d) => d(null, String(c).toUpperCase()) }), async (s) => { for await (const c of s) parts.push(String(c)); });
    const storage = new AsyncLocalStorage();
    const later = await import('crypto');
    return {
        assert: (() => { try { assert.deepEqual({ a: 1 }, { a: 2 }); } catch (e) { return e.code === 'ERR_ASSERTION'; } })(), events: (await once(emitter, 'x'))[0] === 1, path: path.join('a', '..', 'b') === 'b', qs: qs.stringify({ a: [1, 2] }) === 'a=1&a=2',
        stream: parts.join('') === 'AB', sleep: (await sleep(1, 'v')) === 'v', util: util.inspect({ a: 1 }) === '{ a: 1 }' && util.types.isPromise(sleep(0)), zlib: zlib.gunzipSync(zlib.gzipSync('abc')).toString() === 'abc' && (await util.promisify(zlib.brotliCompress)('x')).length > 0,
        storage: await storage.run(5, async () => { await null; return storage.getStore(); }) === 5, url: url.parse('http://a/b?c').pathname === '/b', decoder: new StringDecoder('utf8').write(Buffer.from('é')) === 'é',
        lodash: _.get({ a: { b: 1 } }, 'a.b') === 1 && chunk([1, 2, 3], 2).length === 2 && ns.default === _, jsonata: (await jsonata('$sum(a)').evaluate({ a: [1, 2] })) === 3, dynamic: typeof later.createHash === 'function',
    };
}`));

test('axios is the published package: instances, interceptors, errors, forms, streams, cancelling', async () => {
    await all(`import axios, { AxiosError, AxiosHeaders, isAxiosError } from 'axios';
export default async ({ uri }) => {
    const api = axios.create({ baseURL: uri, headers: { 'X-K': 'v' }, params: { k: 1 }, timeout: 20000 });
    api.interceptors.request.use((c) => { c.headers.set('X-I', '1'); return c; });
    api.interceptors.response.use((r) => ({ ...r, seen: true }));
    const posted = await api.post('/p', { a: 1 }, { params: { q: [1, 2], d: new Date(0), n: null } });
    const form = new FormData(); form.append('f', new Blob([Buffer.from([1, 254])]), 'f.bin');
    const sent = await axios.post(uri, form), coded = await axios.post(uri, { a: 1, b: [2] }, { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
    const multi = await axios.postForm(uri, { a: 1 });
    const teapot = await axios.get(uri + '/teapot').catch((e) => e);
    const bytes = await axios.get(uri + '/bytes', { responseType: 'arraybuffer' });
    const stream = await axios({ url: uri + '/lines', responseType: 'stream' }); let lines = ''; for await (const part of stream.data) lines += part;
    const controller = new AbortController(); setTimeout(() => controller.abort(), 20);
    const cancelled = await axios.get(uri + '/never', { signal: controller.signal }).catch((e) => e);
    const late = await axios.get(uri + '/never', { timeout: 30 }).catch((e) => e);
    const refused = await axios.get('http://10.255.255.1/').catch((e) => e);
    const manual = await axios.get(uri + '/redirect', { maxRedirects: 0 }).catch((e) => e);
    const raw = await axios.post(uri, Buffer.from([7, 8]), { headers: { 'Content-Type': 'application/octet-stream' } });
    const one = axios.CancelToken.source(); setTimeout(() => one.cancel('old'), 10);
    const old = await axios.get(uri + '/never', { cancelToken: one.token }).catch((e) => e);
    return {
        url: posted.data.url === '/p?k=1&q[]=1&q[]=2&d=1970-01-01T00:00:00.000Z' || decodeURIComponent(posted.data.url) === '/p?k=1&q[]=1&q[]=2&d=1970-01-01T00:00:00.000Z', headers: posted.data.headers['x-k'] === 'v' && posted.data.headers['x-i'] === '1' && posted.data.headers.accept.startsWith('application/json'),
        json: posted.data.body === '{"a":1}' && posted.data.headers['content-type'] === 'application/json', interceptor: posted.seen === true, status: posted.status === 200 && posted.statusText === 'OK',
        answerHeaders: posted.headers['content-type'] === 'application/json' && posted.headers instanceof AxiosHeaders && posted.headers['set-cookie'].length === 2,
        form: sent.data.headers['content-type'].startsWith('multipart/form-data; boundary=') && sent.data.body.includes('filename="f.bin"'), coded: decodeURIComponent(coded.data.body) === 'a=1&b[]=2' || decodeURIComponent(coded.data.body) === 'a=1&b[0]=2', multi: multi.data.body.includes('name="a"'),
        error: isAxiosError(teapot) && teapot instanceof AxiosError && teapot.code === 'ERR_BAD_REQUEST' && teapot.response.status === 418 && teapot.message === 'Request failed with status code 418' && teapot.config.url === uri + '/teapot',
        bytes: Buffer.isBuffer(bytes.data) && bytes.data.length === 4 && bytes.data[1] === 255, stream: lines === 'a\\nb\\nc\\n', cancelled: axios.isCancel(cancelled) && cancelled.code === 'ERR_CANCELED', late: late.code === 'ECONNABORTED' && /timeout of 30ms exceeded/.test(late.message),
        refused: refused.code === 'ERR_NETWORK', manual: manual.response?.status === 307, raw: raw.data.body === '\\x07\\x08', old: axios.isCancel(old) && old.message === 'old', version: /^1\\./.test(axios.VERSION), all: (await axios.all([1, 2])).length === 2,
        redirected: (await axios.get(uri + '/redirect')).request.res.responseUrl === uri + '/there',
        defaults: (() => { axios.defaults.headers.common['X-D'] = 'd'; return true; })() && (await axios.get(uri)).data.headers['x-d'] === 'd',
        silent: (await axios.get(uri + '/bad-json')).data === '{"a":', fn: (await axios(uri, { method: 'put', data: 'text' })).data.body === 'text',
    };
}`);
    const { body } = await runner.run('import axios from "axios";\nexport default async ({ uri }) => {\n  await axios.get(uri + "/teapot");\n}', { uri });
    assert.deepEqual([body.error.type, body.error.data.lineNumber, body.error.causedByError.type, body.error.causedByError.data.response.status], ['custom_code', 3, 'connection', 418]);
});

test('fetch: request bodies, streams of answers, redirects, aborting', () => all(`export default async ({ uri }) => {
    const post = async (body, headers) => (await fetch(uri, { method: 'POST', body, headers, duplex: 'half' })).json();
    const reader = (await fetch(uri + '/lines')).body.pipeThrough(new TextDecoderStream()).getReader(); let text = '';
    for (let r; !(r = await reader.read()).done; ) text += r.value;
    const redirected = await fetch(uri + '/redirect', { method: 'POST', body: 'kept' });
    const controller = new AbortController(); setTimeout(() => controller.abort(), 20);
    const aborted = await fetch(uri + '/never', { signal: controller.signal }).catch((e) => e.name);
    const request = new Request(uri + '/r', { method: 'PUT', headers: { 'X-A': 'b' }, body: 'x' });
    return {
        text: (await post('abc')).body === 'abc', params: (await post(new URLSearchParams({ a: '1' }))).headers['content-type'].startsWith('application/x-www-form-urlencoded'), bytes: (await post(new Uint8Array([1, 255]))).body === '\\x01\\xff',
        stream: (await post(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('s1')); c.enqueue(new TextEncoder().encode('s2')); c.close(); } }))).body === 's1s2',
        answer: text === 'a\\nb\\nc\\n', redirected: redirected.redirected === true && redirected.url === uri + '/there' && (await redirected.json()).body === 'kept', aborted: aborted === 'AbortError', timeout: (await fetch(uri + '/never', { signal: AbortSignal.timeout(20) }).catch((e) => e.name)) === 'TimeoutError',
        request: (await (await fetch(request)).json()).headers['x-a'] === 'b', error: (await fetch(uri + '/redirect', { redirect: 'error' }).catch((e) => e.name)) === 'TypeError', clone: await (async () => { const r = await fetch(uri); const c = r.clone(); return (await r.text()) === (await c.text()); })(),
        cookies: (await fetch(uri)).headers.getSetCookie().length === 2, blob: (await (await fetch(uri + '/bytes')).blob()).type === 'image/png', relative: await fetch('/x').catch((e) => e instanceof TypeError), large: /more than/.test(await fetch(uri + '/large').catch((e) => e.cause.message)),
    };
}`));

test('API clients: every form of the arguments', async () => {
    const grant = { external: { client: { baseUri: uri + '/api', query: { key: 'k' } } } };
    const results = await ok(`export default async ({ externalApiClient: c, apiClient, uri }) => ({
        get: (await c.get('/a', { q: [1, 2] }, { headers: { 'X-A': '1' }, query: { z: 'z' } })), empty: (await c.get('/a', {}, {}, {})).url, none: (await c.get('a')).url,
        base: (await c.get('/b', undefined, { baseUri: uri + '/other' })).url, auth: (await c.post('/c', 'text', { auth: { username: 'u', password: 'p' } })).headers.authorization, absolute: (await c.put(uri + '/abs', { a: 1 })).url,
        full: await c.patch('/d', { a: 1 }, { returnFullResponse: true }).then((r) => [r.status, Object.keys(r).includes('headers'), r.data.body]), removed: (await c.delete('/e', { reason: 'x' })).body,
        request: (await c.makeApiRequest({ path: '/f', method: 'post', query: { a: 1 }, data: { b: 2 }, headers: { 'X-B': 'b' } })).url, text: await c.get('/g', {}, { responseType: 'text' }).then((t) => typeof t), bytes: [...(await c.get(uri + '/bytes', {}, { responseType: 'arraybuffer' }))],
        blob: (await c.get(uri + '/bytes', {}, { responseType: 'blob' })).size, form: (await c.post('/h', { a: 'b c' }, { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } })).body, params: (await c.post('/i', new URLSearchParams({ x: '1' }))).headers['content-type'], same: apiClient === c,
        error: await c.get('/teapot', {}, { baseUri: uri }).catch((e) => [e.name, e.type, e.response?.status, e.data.response.status, e.data.type]),
    })`, {}, { grant });
    assert.equal(results.get.url, '/api/a?key=k&z=z&q=1&q=2');
    assert.equal(results.get.headers['x-a'], '1');
    assert.deepEqual([results.empty, results.none, results.base, results.absolute], ['/api/a?key=k', '/api/a?key=k', '/other/b?key=k', '/abs?key=k']);
    assert.deepEqual([results.auth, results.full, results.removed], ['Basic dTpw', [200, true, '{"a":1}'], '{"reason":"x"}']);
    assert.deepEqual([results.request, results.text, results.bytes, results.blob], ['/api/f?key=k&a=1', 'string', [0, 255, 128, 1], 4]);
    assert.deepEqual([results.form, results.params.split(';')[0], results.same], ['a=b%20c', 'application/x-www-form-urlencoded', true]);
    assert.deepEqual(results.error, ['ConnectionError', 'connection', 418, 418, 'connection']);
});

test('positions of errors: modules, callbacks, promises, TypeScript with enums, syntax', async () => {
    const place = async (code, more) => {
        const { body } = await runner.run(code, {}, more);
        return [body.error.data?.lineNumber, body.error.data?.columnNumber, body.error.data?.file];
    };
    assert.deepEqual(await place('export default async () => {\n  await null;\n  [1].map((x) => x.a.b);\n}'), [3, 22, undefined]);
    assert.deepEqual(await place('export default async () => {\n  setTimeout(() => {\n    throw new Error("late");\n  }, 1);\n  await new Promise((r) => setTimeout(r, 2000));\n}'), [3, 11, undefined]);
    assert.deepEqual(await place('enum Color {\n  Red = 1,\n  Green,\n}\nnamespace N { export const x = 1 }\nexport default async (args: { a?: number }) => {\n  const c: Color = Color.Green;\n  throw new TypeError(`${c}`);\n}'), [8, 9, undefined]);
    assert.deepEqual(await place('export default async () => {\n  const a = {;\n}'), [2, 14, undefined]);
    assert.deepEqual(await place('type A = { x: number };\nexport default (a: A) => {\n  const b: string = ;\n}'), [3, 21, undefined]);
    assert.deepEqual(await place('const a = 1;\nconst a = 2;\nexport default () => 1'), [2, 7, undefined]);
    assert.deepEqual((await place('module.exports = () => {\n  nothing();\n}')).slice(0, 2), [2, 3]);
    assert.deepEqual(await place(undefined, { main: 'data/x/list.ts', modules: { 'data/x/list.ts': 'import { f } from "../../lib/f";\nexport default () => f();', 'lib/f.ts': 'export const f = (): number => {\n  throw new Error("in lib");\n};' } }), [2, 9, 'lib/f.ts']);
});

test('several calls in one job see nothing of one another but their module', async () => {
    const results = await ok('let n = 0;\nexport default async ({ i, common }) => { await null; return [i * 2, common, ++n] }', { common: 'c' }, { each: [{ i: 1 }, { i: 2 }, { i: 3 }] });
    assert.deepEqual(results, [[2, 'c', 1], [4, 'c', 2], [6, 'c', 3]]);
});

test('a body that is too large is refused in the job; so are too many headers and broken ones', async () => {
    const message = (code) => ok(`export default async ({ uri }) => ${code}.then(() => "sent", (e) => e.cause?.message ?? e.message)`);
    assert.match(await message('fetch(uri, { method: "POST", body: Buffer.alloc(23 * 1024 * 1024) })'), /larger than the limit/);
    assert.match(await message('fetch(uri, { headers: Object.fromEntries(Array.from({ length: 120 }, (_, i) => ["x-" + i, "v"])) })'), /more than 100 headers/);
    assert.equal(await message('fetch(uri, { method: "POST", body: Buffer.alloc(2 * 1024 * 1024) })'), 'sent');
});
