// ---- requests: the supervisor makes them; here they look like fetch ----

// Set when the job may call this server's own API: what the code knows of it. The address is
// the public one and the token a stand-in: the supervisor knows the real ones.
let engine;

const isEngine = (url, authorization) =>
    engine !== undefined && authorization === `Bearer ${engine.token}` && (url === engine.uri || url.startsWith(engine.uri + '/'));

const headerIn = (headers, name) => headers.find(([key]) => key.toLowerCase() === name)?.[1];

const MAX_BODY_BYTES = 22 * 1024 * 1024;

function checkBody(body) {
    if (body?.length > MAX_BODY_BYTES) throw failure(`The body of the request is larger than the limit of ${MAX_BODY_BYTES} bytes`, 'request_limit');
}

// Resolves when `promise` does, unless the signal comes first.
function orAbort(promise, signal) {
    if (!signal) return promise;
    return new Promise((resolve, reject) => {
        const stop = () => reject(signal.reason);
        if (signal.aborted) return stop();
        signal.addEventListener('abort', stop, { once: true });
        promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    });
}

/*
 * One request: {method, url, headers: [[name, value]], body?: Buffer, redirect?, timeoutMs?}.
 * Gives {status, statusText, headers, body: Buffer, url}; throws what the supervisor says.
 */
async function hostRequest({ body, ...request }) {
    checkBody(body);
    const own = isEngine(request.url, headerIn(request.headers, 'authorization'));
    const answer = await call({
        kind: own ? 'engine' : 'http', ...request, url: own ? request.url.slice(engine.uri.length) : request.url, body: body?.toString('base64'),
    });
    return {
        status: answer.status, statusText: require('http').STATUS_CODES[answer.status] ?? '', headers: answer.headers,
        body: toBuffer(answer.body ?? '', 'base64'), url: own ? request.url : answer.url,
    };
}

const nativeFetch = globalThis.fetch;

async function fetchByHost(input, init) {
    const request = new Request(input, init);
    if (/^(data|blob):/.test(request.url)) return nativeFetch(request);
    request.signal?.throwIfAborted();
    const body = request.body === null ? undefined : toBuffer(await request.arrayBuffer());
    const asked = hostRequest({ method: request.method, url: request.url, headers: [...request.headers], body, redirect: request.redirect });
    const answer = await orAbort(asked.catch((error) => {
        throw new TypeError('fetch failed', { cause: error });
    }), request.signal);
    const { status, statusText } = answer;
    const empty = status === 204 || status === 205 || status === 304 || request.method === 'HEAD';
    const headers = new Headers();
    for (const [name, value] of answer.headers) headers.append(name, value);
    const response = new Response(empty ? null : answer.body, { status, statusText, headers });
    Object.defineProperty(response, 'url', { value: answer.url });
    Object.defineProperty(response, 'redirected', { value: answer.url !== request.url });
    return response;
}

const isBytes = (data) => ArrayBuffer.isView(data) || data instanceof ArrayBuffer;

function bytesOf(data) {
    if (data instanceof ArrayBuffer) return toBuffer(data);
    return toBuffer(data.buffer, data.byteOffset, data.byteLength);
}

const isStream = (data) => typeof data?.pipe === 'function' || data instanceof ReadableStream;

async function readStream(stream) {
    const parts = [];
    for await (const part of stream) parts.push(toBuffer(part));
    return Buffer.concat(parts);
}

// Gives {body: Buffer, type} of a form, a blob, bytes, a stream or URLSearchParams, else undefined.
async function encodeSpecial(data, type) {
    if (data instanceof URLSearchParams) return { body: toBuffer(data.toString()), type: type ?? 'application/x-www-form-urlencoded;charset=utf-8' };
    if (isBytes(data)) return { body: bytesOf(data), type };
    if (isStream(data)) return { body: await readStream(data), type };
    if (!(data instanceof FormData) && !(data instanceof Blob)) return undefined;
    const r = new Response(data);
    const own = r.headers.get('content-type') ?? undefined;
    return { body: toBuffer(await r.arrayBuffer()), type: data instanceof FormData ? own : (type ?? own) };
}
