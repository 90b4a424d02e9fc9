// runner_guest.js - the process of one job, from the locked sandbox to the result.
//
// Called with the addon, require and process of a fresh Node. Nothing in here is a barrier:
// the code of the job could change every object it touches. The barrier is what lock() took
// from the process, and the supervisor, which believes no frame.
'use strict';
const vm = require('vm');
const util = require('util');
const path = require('path');
const nodeModule = require('module');
for (const name of ['net', 'url', 'crypto', 'stream', 'buffer']) require(name);

const MAX_LOGS = 1000;
const MAX_LOG_LENGTH = 8192;
const MAX_PARALLEL_CALLS = 10;
const MAIN = 'code.js';
const ALLOWED = new Set(['assert', 'async_hooks', 'buffer', 'crypto', 'diagnostics_channel', 'events', 'path',
    'perf_hooks', 'punycode', 'querystring', 'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers',
    'timers/promises', 'url', 'util', 'util/types', 'zlib']);

// ---- frames ----

const send = (frame) => native.send(Buffer.from(JSON.stringify(frame)));
let finished = false;

// The last frame; `text` is JSON already.
function finish(text) {
    if (finished) return;
    finished = true;
    native.send(Buffer.from(text));
    native.exit();
}

let socket;
let received = [];
let receivedLength = 0;
let nextCall = 1;
const pending = new Map();
const waiting = [];

function onData(part) {
    received.push(part);
    receivedLength += part.length;
    for (;;) {
        if (receivedLength < 4) return;
        if (received.length > 1) received = [Buffer.concat(received)];
        const all = received[0];
        const length = all.readUInt32LE(0);
        if (all.length < 4 + length) return;
        const frame = JSON.parse(all.toString('utf8', 4, 4 + length));
        received = [all.subarray(4 + length)];
        receivedLength = all.length - 4 - length;
        const call = pending.get(frame.id);
        if (!call) continue;
        pending.delete(frame.id);
        const next = waiting.shift();
        if (next) next();
        else if (pending.size === 0) socket.unref();
        call(frame);
    }
}

// Asks the supervisor: resolves with the whole answer frame.
function call(request) {
    return new Promise((resolve, reject) => {
        const start = () => {
            if (!socket) {
                socket = new (require('net').Socket)({ fd: 3, readable: true, writable: false });
                socket.on('data', onData);
                socket.on('end', () => native.exit());
                socket.on('error', () => native.exit());
            }
            const id = nextCall++;
            socket.ref();
            pending.set(id, (frame) => (frame.error ? reject(asError(frame.error)) : resolve(frame)));
            send({ t: 'call', id, ...request });
        };
        if (pending.size >= MAX_PARALLEL_CALLS) waiting.push(start);
        else start();
    });
}

// ---- errors ----

const dataOf = new WeakMap(); // error -> ErrorData, for errors that keep their type
const ERROR_NAMES = { connection: 'ConnectionError', bad_request: 'BadRequestError', configuration: 'ConfigurationError' };

function asError(data) {
    const error = new Error(data.message);
    error.name = ERROR_NAMES[data.type] ?? 'MembraneError';
    error.type = data.type;
    error.key = data.key;
    error.data = data.data;
    error.errorData = data;
    const response = data.data?.response;
    if (response) error.response = { ...response, status: response.status ?? response.statusCode };
    dataOf.set(error, data);
    return error;
}

const sources = new Map(); // file name -> what the author wrote

function positionOf(error) {
    const stack = typeof error?.stack === 'string' ? error.stack : '';
    const names = [...sources.keys()].map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
    if (!names) return {};
    let file, line, column;
    const parse = new RegExp(`^(${names}):(\\d+)\\n(?:.*\\n)?( *)\\^`).exec(stack);
    const frame = new RegExp(`(?:^|[\\s(/])(${names}):(\\d+):(\\d+)`).exec(stack);
    const missing = error instanceof SyntaxError && !parse && !frame && placeOfSyntaxError(sources.get(MAIN));
    if (missing) [file, line, column] = [MAIN, ...missing];
    else if (parse) [file, line, column] = [parse[1], +parse[2], parse[3].length + 1];
    else if (frame) [file, line, column] = [frame[1], +frame[2], +frame[3]];
    else return {};
    const code = sources.get(file)?.split('\n')[line - 1]?.slice(0, 500);
    return { lineNumber: line, columnNumber: column, code, ...(file === MAIN ? {} : { file }) };
}

// V8 keeps the place of a syntax error in a module to itself. A script tells it, so the code
// is made one, place by place, and broken in the same way.
function placeOfSyntaxError(source) {
    if (typeof source !== 'string') return undefined;
    const blank = (m) => m.replace(/[^\n]/g, ' ');
    const script = source.replace(/^(\s*)export\s+default\b(?!\s*(async\s+)?(function|class)\b)/m, (m, s) => s + 'var _'.padEnd(m.length - s.length - 1) + '=')
        .replace(/^\s*export\s+default\b|^\s*export\b(?!\s*[{*])/gm, blank).replace(/^\s*(import|export)\b[^;\n]*?['"][^'"\n]*['"];?/gm, blank);
    try {
        new vm.Script('async()=>{' + script + '\n}', { filename: MAIN, columnOffset: -10 });
    } catch (e) {
        const place = /^code\.js:(\d+)\n(.*)\n( *)\^/.exec(e.stack ?? '');
        if (place) return [+place[1], +place[3].length + 1 - (place[1] === '1' ? 10 : 0)];
    }
    return undefined;
}

// The lines of the stack that are of the author's files.
function ownFrames(error) {
    const stack = typeof error?.stack === 'string' ? error.stack : '';
    return stack.split('\n').filter((line) => /^\s+at /.test(line) && [...sources.keys()].some((name) => line.includes(`${name}:`))).slice(0, 20).map((line) => line.trim()).join('\n').slice(0, 4000);
}

function describe(error) {
    if (error !== null && typeof error === 'object') {
        const name = typeof error.name === 'string' && error.name !== 'Error' ? `${error.name}: ` : '';
        if (typeof error.message === 'string') return (name + error.message).slice(0, 10000);
        try {
            return JSON.stringify(error).slice(0, 10000);
        } catch {
            return 'an object was thrown';
        }
    }
    return String(error).slice(0, 10000);
}

function fail(error) {
    let frame;
    try {
        const position = positionOf(error);
        const kept = dataOf.get(error) ?? dataOf.get(error?.cause);
        if (kept && dataOf.has(error)) frame = { t: 'error', error: kept, position };
        else {
            const data = { ...position };
            let key = typeof error?.runnerKey === 'string' ? error.runnerKey : undefined;
            if (!key && /allocation failed|Failed to allocate memory|Invalid array buffer length/i.test(error?.message))
                key = 'memory_limit';
            const own = ownFrames(error);
            if (own) data.stack = own;
            frame = { t: 'error', error: { type: 'custom_code', key, message: describe(error), data, causedByError: kept } };
        }
        frame = JSON.stringify(frame);
    } catch {
        frame = '{"t":"error","error":{"type":"custom_code","message":"The code threw something that can not be told"}}';
    }
    finish(frame);
}

const failure = (message, runnerKey) => Object.assign(new Error(message), { runnerKey, stack: '' });

// ---- console ----

let logs = 0;
function log(level, args) {
    if (logs++ >= MAX_LOGS) return;
    let message;
    try {
        message = util.format(...args);
    } catch (e) {
        message = `(can not be shown: ${e?.message})`;
    }
    send({ t: 'log', level, message: message.slice(0, MAX_LOG_LENGTH) });
}
const consoleOf = {};
for (const [name, level] of Object.entries({ log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error', dir: 'info', table: 'info' }))
    consoleOf[name] = (...args) => log(level, args);
consoleOf.assert = (ok, ...args) => ok || log('error', ['Assertion failed', ...args]);
const timers = new Map();
consoleOf.time = (label = 'default') => void timers.set(label, performance.now());
consoleOf.timeEnd = consoleOf.timeLog = (label = 'default') => log('info', [`${label}: ${(performance.now() - (timers.get(label) ?? NaN)).toFixed(3)}ms`]);
for (const name of ['group', 'groupCollapsed', 'groupEnd', 'count', 'countReset', 'clear', 'profile', 'profileEnd', 'timeStamp'])
    consoleOf[name] = () => {};

// ---- fetch ----

async function fetchByHost(input, init) {
    const request = new Request(input, init);
    const signal = request.signal;
    signal?.throwIfAborted();
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer()).toString('base64');
    const answer = call({
        kind: 'http', method: request.method, url: request.url, headers: [...request.headers], body, redirect: request.redirect,
    }).catch((error) => {
        throw new TypeError('fetch failed', { cause: error });
    });
    const aborted = signal && new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    const { status, statusText, headers, body: data, url } = await (aborted ? Promise.race([answer, aborted]) : answer);
    const empty = status === 204 || status === 205 || status === 304 || request.method === 'HEAD';
    const response = new Response(empty ? null : Buffer.from(data ?? '', 'base64'), { status, statusText, headers: toHeaders(headers) });
    Object.defineProperty(response, 'url', { value: url });
    return response;
}

function toHeaders(list) {
    const headers = new Headers();
    for (const [name, value] of list) headers.append(name, value);
    return headers;
}

// ---- axios, as far as code of this kind uses it ----

class AxiosError extends Error {
    constructor(message, code, config, request, response) {
        super(message);
        Object.assign(this, { name: 'AxiosError', code, config, request, response, status: response?.status, isAxiosError: true });
    }
    toJSON() {
        return { message: this.message, name: this.name, code: this.code, status: this.status };
    }
}

function serializeParams(params, serializer) {
    if (typeof serializer === 'function') return serializer(params);
    if (serializer?.serialize) return serializer.serialize(params);
    if (params instanceof URLSearchParams) return params.toString();
    const out = [];
    const add = (key, value) => {
        if (value === undefined || value === null) return;
        if (Array.isArray(value)) for (const v of value) add(`${key}[]`, v);
        else if (value instanceof Date) add(key, value.toISOString());
        else if (typeof value === 'object') for (const k of Object.keys(value)) add(`${key}[${k}]`, value[k]);
        else out.push(`${encodeURIComponent(key).replace(/%5B/g, '[').replace(/%5D/g, ']')}=${encodeURIComponent(value).replace(/%20/g, '+').replace(/%3A/g, ':').replace(/%2C/g, ',').replace(/%24/g, '$')}`);
    };
    for (const key of Object.keys(params)) add(key, params[key]);
    return out.join('&');
}

const lowerCased = (headers) =>
    Object.fromEntries(Object.entries(headers ?? {}).filter(([, v]) => v !== undefined && v !== null && typeof v !== 'object' && typeof v !== 'function')
        .map(([k, v]) => [k.toLowerCase(), String(v)]));

// Gives {body: Buffer | undefined, type} of what the code wants to send.
async function encodeBody(data, type) {
    if (data === undefined || data === null) return {};
    if (typeof data === 'string') return { body: Buffer.from(data), type: type ?? 'application/x-www-form-urlencoded' };
    if (data instanceof URLSearchParams) return { body: Buffer.from(data.toString()), type: type ?? 'application/x-www-form-urlencoded;charset=utf-8' };
    if (Buffer.isBuffer(data) || ArrayBuffer.isView(data)) return { body: Buffer.from(data.buffer, data.byteOffset, data.byteLength), type };
    if (data instanceof ArrayBuffer) return { body: Buffer.from(data), type };
    if (data instanceof FormData || data instanceof Blob) {
        const r = new Response(data);
        const own = r.headers.get('content-type');
        return { body: Buffer.from(await r.arrayBuffer()), type: data instanceof FormData ? own : (type ?? own) };
    }
    if (type?.startsWith('application/x-www-form-urlencoded'))
        return { body: Buffer.from(serializeParams(data)), type };
    return { body: Buffer.from(JSON.stringify(data)), type: type ?? 'application/json' };
}

function mergeConfig(a, b) {
    const merged = { ...a, ...b };
    merged.headers = { ...a?.headers, ...b?.headers };
    if (a?.params && b?.params && !(b.params instanceof URLSearchParams)) merged.params = { ...a.params, ...b.params };
    return merged;
}

const asList = (x) => (x === undefined || x === null ? [] : Array.isArray(x) ? x : [x]);

async function axiosRequest(config) {
    const method = (config.method ?? 'get').toUpperCase();
    const own = config.headers ?? {};
    const headers = lowerCased({ Accept: 'application/json, text/plain, */*', ...own.common, ...own[method.toLowerCase()], ...own });
    let data = config.data;
    for (const transform of asList(config.transformRequest)) data = transform(data, headers);
    const { body, type } = ['GET', 'HEAD'].includes(method) && data === undefined ? {} : await encodeBody(data, headers['content-type']);
    if (type) headers['content-type'] = type;
    if (config.auth) headers.authorization = 'Basic ' + Buffer.from(`${config.auth.username ?? ''}:${config.auth.password ?? ''}`).toString('base64');
    let url = config.url ?? '';
    if (config.baseURL && !/^([a-z][a-z\d+\-.]*:)?\/\//i.test(url))
        url = url ? config.baseURL.replace(/\/?\/$/, '') + '/' + url.replace(/^\/+/, '') : config.baseURL;
    const query = config.params ? serializeParams(config.params, config.paramsSerializer) : '';
    if (query) url = url.replace(/#.*$/, '') + (url.includes('?') ? '&' : '?') + query;
    const request = { method, path: url };
    let answer;
    try {
        config.signal?.throwIfAborted?.();
        const asked = call({
            kind: 'http', method, url, headers: Object.entries(headers), body: body?.toString('base64'),
            redirect: config.maxRedirects === 0 ? 'manual' : 'follow', timeoutMs: config.timeout || undefined,
        });
        answer = await (config.signal
            ? Promise.race([asked, new Promise((_, reject) => config.signal.addEventListener('abort', () => reject(new AxiosError('canceled', 'ERR_CANCELED', config, request)), { once: true }))])
            : asked);
    } catch (error) {
        if (error instanceof AxiosError) throw error;
        const code = error.key === 'timeout' ? 'ECONNABORTED' : error.name === 'AbortError' ? 'ERR_CANCELED' : 'ERR_NETWORK';
        throw Object.assign(new AxiosError(error.key === 'timeout' && config.timeout ? `timeout of ${config.timeout}ms exceeded` : error.message, code, config, request), { cause: error });
    }
    const raw = Buffer.from(answer.body ?? '', 'base64');
    let result;
    if (config.responseType === 'arraybuffer') result = raw;
    else if (config.responseType === 'stream') result = require('stream').Readable.from([raw]);
    else if (config.responseType === 'blob') result = new Blob([raw]);
    else {
        result = raw.toString('utf8').replace(/^\uFEFF/, '');
        if (config.transformResponse) for (const transform of asList(config.transformResponse)) result = transform(result, answer.headers, answer.status);
        else if (config.responseType !== 'text' && result) {
            try {
                result = JSON.parse(result);
            } catch {
                if (config.responseType === 'json' && config.transitional?.silentJSONParsing === false)
                    throw new AxiosError('The answer is not JSON', 'ERR_BAD_RESPONSE', config, request);
            }
        }
    }
    const answerHeaders = {};
    for (const [name, value] of answer.headers) {
        const key = name.toLowerCase();
        if (key === 'set-cookie') (answerHeaders[key] ??= []).push(value);
        else answerHeaders[key] = key in answerHeaders ? `${answerHeaders[key]}, ${value}` : value;
    }
    Object.defineProperty(answerHeaders, 'get', { value: (name) => answerHeaders[name.toLowerCase()] });
    const response = { data: result, status: answer.status, statusText: answer.statusText, headers: answerHeaders, config, request: { ...request, res: { responseUrl: answer.url } } };
    const good = config.validateStatus === undefined ? answer.status >= 200 && answer.status < 300 : !config.validateStatus || config.validateStatus(answer.status);
    if (good) return response;
    throw new AxiosError(`Request failed with status code ${answer.status}`, answer.status >= 500 ? 'ERR_BAD_RESPONSE' : 'ERR_BAD_REQUEST', config, request, response);
}

class Interceptors {
    constructor() {
        this.handlers = [];
    }
    use(fulfilled, rejected) {
        return this.handlers.push({ fulfilled, rejected }) - 1;
    }
    eject(id) {
        if (this.handlers[id]) this.handlers[id] = null;
    }
    clear() {
        this.handlers = [];
    }
}

function createAxios(defaults) {
    const interceptors = { request: new Interceptors(), response: new Interceptors() };
    function instance(a, b) {
        const given = typeof a === 'string' ? { ...b, url: a } : (a ?? {});
        let p = Promise.resolve(mergeConfig(instance.defaults, given));
        for (const h of [...interceptors.request.handlers].reverse()) if (h) p = p.then(h.fulfilled, h.rejected);
        p = p.then(axiosRequest);
        for (const h of interceptors.response.handlers) if (h) p = p.then(h.fulfilled, h.rejected);
        return p;
    }
    instance.defaults = { ...defaults, headers: { common: {}, ...defaults?.headers } };
    instance.interceptors = interceptors;
    instance.request = (a, b) => instance(a, b);
    for (const method of ['get', 'delete', 'head', 'options']) instance[method] = (url, config) => instance({ ...config, url, method });
    for (const method of ['post', 'put', 'patch']) {
        instance[method] = (url, data, config) => instance({ ...config, url, method, data });
        instance[method + 'Form'] = (url, data, config) => {
            const form = data instanceof FormData ? data : new FormData();
            if (form !== data) for (const [k, v] of Object.entries(data ?? {})) form.append(k, v);
            return instance({ ...config, url, method, data: form });
        };
    }
    instance.getUri = (config) => {
        const c = mergeConfig(instance.defaults, config);
        const query = c.params ? serializeParams(c.params, c.paramsSerializer) : '';
        return (c.baseURL ?? '') + (c.url ?? '') + (query ? `?${query}` : '');
    };
    instance.create = (config) => createAxios(mergeConfig(instance.defaults, config));
    return instance;
}

let theAxios;
function axios() {
    if (theAxios) return theAxios;
    theAxios = createAxios({});
    Object.assign(theAxios, {
        AxiosError, isAxiosError: (e) => e?.isAxiosError === true, isCancel: (e) => e?.code === 'ERR_CANCELED',
        all: (list) => Promise.all(list), spread: (fn) => (list) => fn(...list), VERSION: '1.0.0',
    });
    theAxios.default = theAxios.axios = theAxios;
    return theAxios;
}

// ---- API clients ----

// What the supervisor can put into JSON: bytes and forms become text with a content type.
async function clientData(data, headers) {
    if (data === undefined || data === null || typeof data === 'string') return { data, headers };
    const special = data instanceof URLSearchParams || Buffer.isBuffer(data) || ArrayBuffer.isView(data) || data instanceof ArrayBuffer ||
        (typeof data === 'object' && (data instanceof FormData || data instanceof Blob));
    if (!special) return { data, headers };
    const { body, type } = await encodeBody(data, lowerCased(headers)['content-type']);
    return { bodyBase64: body.toString('base64'), headers: type ? { ...headers, 'Content-Type': type } : headers };
}

function apiClient(name) {
    async function request(given) {
        const r = given ?? {};
        const { data, bodyBase64, headers } = await clientData(r.data ?? r.body, r.headers ?? {});
        if (r.auth) headers.Authorization = 'Basic ' + Buffer.from(`${r.auth.username ?? ''}:${r.auth.password ?? ''}`).toString('base64');
        const raw = r.responseType === 'arraybuffer' || r.responseType === 'stream';
        const answer = await call({
            kind: 'client', client: name, raw,
            request: { path: r.path ?? r.uri ?? r.url ?? '', method: r.method?.toUpperCase?.(), query: r.query ?? r.params, pathParameters: r.pathParameters, data, bodyBase64, headers, baseUri: r.baseUri },
        });
        let result = answer.data;
        if (raw) result = Buffer.from(answer.body ?? '', 'base64');
        if (r.responseType === 'stream') result = require('stream').Readable.from([result]);
        return r.returnFullResponse ? { data: result, status: answer.status, statusCode: answer.status, headers: answer.headers } : result;
    }
    const client = {
        makeApiRequest: request,
        request,
        get: (p, query, options) => request({ ...options, path: p, method: 'GET', query: { ...options?.query, ...query } }),
    };
    for (const method of ['post', 'put', 'patch', 'delete'])
        client[method] = (p, data, options) => request({ ...options, path: p, method, data });
    return client;
}

// ---- modules ----

const files = new Map(); // path -> source, of the connector's archive
const compiled = new Map();

function builtin(spec) {
    const name = spec.replace(/^node:/, '');
    if (name === 'axios') return axios();
    if (ALLOWED.has(name)) return require(name);
    return undefined;
}

function resolveFile(spec, from) {
    const base = path.posix.normalize(path.posix.join(path.posix.dirname(from), spec));
    for (const end of ['', '.js', '.ts', '.mjs', '.cjs', '.json', '/index.js', '/index.ts']) if (files.has(base + end)) return base + end;
    throw failure(`Cannot find module '${spec}'`, 'module_not_found');
}

const refused = (spec) => failure(`Module '${String(spec).slice(0, 200)}' is not available in custom code`, 'module_not_allowed');

function synthetic(ns) {
    const names = [...new Set(['default', ...Object.keys(ns)])].filter((n) => n !== '__esModule');
    return new vm.SyntheticModule(names, function () {
        for (const name of names) this.setExport(name, name === 'default' ? ns : ns[name]);
    });
}

function moduleFor(spec, from) {
    const ns = builtin(spec);
    const id = ns ? spec : spec.startsWith('.') ? resolveFile(spec, from) : undefined;
    if (!id) throw refused(spec);
    if (!compiled.has(id)) compiled.set(id, ns ? synthetic(ns) : id.endsWith('.json') ? synthetic(JSON.parse(files.get(id))) : esModuleOrCommon(id, files.get(id)));
    return compiled.get(id);
}

function stripTypes(source, name) {
    const strip = nodeModule.stripTypeScriptTypes;
    if (!strip) throw failure('TypeScript needs Node.js 22.13 or newer', 'typescript_not_available');
    try {
        return strip(source, { mode: 'strip' });
    } catch (e) {
        if (e?.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw e;
        return strip(source, { mode: 'transform', sourceUrl: name });
    }
}

const linker = (spec, referrer) => moduleFor(spec, referrer.identifier);

async function importDynamically(spec, referrer) {
    const m = moduleFor(spec, referrer?.identifier ?? MAIN);
    if (m.status === 'unlinked') await m.link(linker);
    if (m.status !== 'evaluated') await m.evaluate();
    return m;
}

const asModule = (source, name) => new vm.SourceTextModule(source, {
    identifier: name, importModuleDynamically: importDynamically,
    initializeImportMeta: (meta) => void (meta.url = `file:///${name}`),
});

const SAYS_MODULE = /^\s*(import\s*[\w*{'"]|export\s+[\w*{]|export\s*[{*])/m;
const SAYS_COMMON = /\b(module\s*\.\s*exports|exports\s*\.\s*\w+\s*=|exports\s*\[|require\s*\()/;

// The code in one of its possible readings, in the order of likelihood.
function parse(source, name) {
    sources.set(name, source);
    const attempt = (text) => {
        const module = SAYS_MODULE.test(text) || !SAYS_COMMON.test(text);
        try {
            return module ? { module: asModule(text, name) } : { common: compileCommon(text, name) };
        } catch (first) {
            if (!module || SAYS_MODULE.test(text) || !SAYS_COMMON.test(text)) throw first;
            return { common: compileCommon(text, name) };
        }
    };
    try {
        return attempt(source);
    } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        let stripped;
        try {
            stripped = stripTypes(source, name);
        } catch (e) {
            if (e?.runnerKey) throw error;
            throw error;
        }
        if (stripped === source) throw error;
        return attempt(stripped);
    }
}

const compileCommon = (text, name) =>
    vm.compileFunction(text, ['module', 'exports', 'require'], { filename: name, importModuleDynamically: (spec) => importDynamically(spec, { identifier: name }) });

function runCommon(fn, name) {
    const module = { exports: {} };
    const requireHere = (spec) => {
        const ns = builtin(String(spec));
        if (ns) return ns;
        if (!String(spec).startsWith('.')) throw refused(spec);
        const id = resolveFile(spec, name);
        if (id.endsWith('.json')) return JSON.parse(files.get(id));
        if (!commons.has(id)) {
            commons.set(id, {});
            const { common } = parse(files.get(id), id);
            if (!common) throw failure(`'${spec}' is an ES module: use import`, 'module_not_found');
            commons.set(id, runCommon(common, id));
        }
        return commons.get(id);
    };
    fn.call(module.exports, module, module.exports, requireHere);
    return module.exports;
}
const commons = new Map();

function esModuleOrCommon(id, source) {
    const { module, common } = parse(source, id);
    return module ?? synthetic(Object.assign({}, runCommon(common, id)));
}

async function load(source, name) {
    const { module, common } = parse(source, name);
    if (common) return runCommon(common, name);
    compiled.set(name, module);
    await module.link(linker);
    await module.evaluate();
    return module.namespace;
}

function pick(exported, entry) {
    if (entry) {
        const fn = exported[entry] ?? exported.default?.[entry];
        if (typeof fn !== 'function') throw failure(`The code exports no function named ${entry}`, 'no_function');
        return fn;
    }
    if (typeof exported === 'function') return exported;
    if (typeof exported?.default === 'function') return exported.default;
    if (typeof exported?.default?.default === 'function') return exported.default.default;
    const functions = Object.values(exported ?? {}).filter((x) => typeof x === 'function');
    if (functions.length === 1) return functions[0];
    throw failure('The code must export one function: export default async function (args) { ... }', 'no_function');
}

// ---- the world that code sees ----

function prepareGlobals() {
    const keep = globalThis.crypto;
    for (const name of [...nodeModule.builtinModules, 'require', 'module', 'exports', '__filename', '__dirname', 'gc', 'EventSource', 'WebSocket', 'Storage', 'localStorage', 'sessionStorage', 'navigator'])
        if (!['buffer', 'console', 'crypto', 'performance'].includes(name)) delete globalThis[name];
    if (globalThis.crypto !== keep || !globalThis.crypto?.subtle)
        Object.defineProperty(globalThis, 'crypto', { value: require('crypto').webcrypto, configurable: true, enumerable: true, writable: true });
    globalThis.console = consoleOf;
    globalThis.fetch = fetchByHost;
    const { nextTick, hrtime, uptime, version, versions, memoryUsage } = process;
    Object.defineProperty(globalThis, 'process', {
        value: { env: {}, argv: [], platform: 'linux', arch: process.arch, version, versions: { ...versions }, pid: 1, nextTick, hrtime, uptime, memoryUsage, cwd: () => '/', on: () => {}, emitWarning: () => {} },
        configurable: true, writable: true, enumerable: false,
    });
}

async function run(job) {
    for (const [name, source] of Object.entries(job.modules ?? {})) files.set(path.posix.normalize(name), source);
    let name = MAIN;
    let source = job.code;
    if (typeof source !== 'string') {
        name = path.posix.normalize(String(job.main ?? ''));
        if (!files.has(name)) throw failure(`There is no module '${job.main}'`, 'module_not_found');
        source = files.get(name);
    }
    const fn = pick(await load(source, name), job.entry);
    const args = job.arguments ?? {};
    if (job.clients?.includes('external')) args.externalApiClient = args.apiClient = apiClient('external');
    if (job.clients?.includes('internal')) args.internalApiClient = apiClient('internal');
    if (job.clients?.includes('engine')) args.engineApiClient = args.membrane = apiClient('engine');
    return fn(args);
}

function done(result, limit) {
    let text;
    try {
        text = JSON.stringify(result);
    } catch (e) {
        throw failure(`The result can not be written as JSON: ${e?.message}`, 'result_not_json');
    }
    text ??= 'null';
    if (Buffer.byteLength(text) > limit)
        throw failure(`The result is larger than the limit of ${limit} bytes`, 'output_limit');
    finish(`{"t":"done","result":${text}}`);
}

// ---- start ----

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('beforeExit', () => fail(failure('The code waits for something that will never happen: its promise can not settle', 'never_settles')));
process.on('exit', () => fail(failure('The process of the code ended', 'exited')));
// Compiled before the job is there: the way of every job.
vm.compileFunction('return 1', ['module'], { filename: 'warm.js' })();
asModule('export default 1', 'warm.js');
JSON.stringify({ a: util.format('%s', 1) });

const layers = native.lock(Number(process.argv[1]), Number(process.argv[2]));
prepareGlobals();
send({ t: 'ready', layers, node: process.version });
const job = JSON.parse(native.receive().toString('utf8'));
native.limit(job.limits.memoryBytes / 2 ** 20, job.limits.cpuSeconds);
run(job).then((result) => done(result, job.limits.outputBytes)).catch(fail);
