// ---- API clients: address and credentials are added outside of the process ----

const basicAuth = ({ username, password }) => 'Basic ' + toBuffer(`${username ?? ''}:${password ?? ''}`).toString('base64');

// What the supervisor can put into JSON: bytes and forms become text with a content type.
async function clientData(data, headers) {
    if (data === undefined || data === null || typeof data !== 'object') return { data };
    const given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
    const special = await encodeSpecial(data, given);
    if (!special) return { data };
    checkBody(special.body);
    if (special.type && special.type !== given) {
        for (const name of Object.keys(headers)) if (name.toLowerCase() === 'content-type') delete headers[name];
        headers['Content-Type'] = special.type;
    }
    return { bodyBase64: special.body.toString('base64') };
}

function clientResult(type, answer) {
    if (!type || type === 'json') return answer.data;
    const body = toBuffer(answer.body ?? '', 'base64');
    if (type === 'stream') return require('stream').Readable.from([body], { objectMode: false });
    if (type === 'blob') return new Blob([body]);
    return type === 'text' ? body.toString('utf8') : body;
}

function apiClient(name) {
    async function request(given, more) {
        const r = typeof given === 'string' ? { ...more, path: given } : (given ?? {});
        const headers = { ...r.headers };
        const { data, bodyBase64 } = await clientData(r.data ?? r.body, headers);
        if (r.auth) headers.Authorization = basicAuth(r.auth);
        const answer = await call({
            kind: 'client', client: name, raw: r.responseType !== undefined && r.responseType !== 'json',
            request: {
                path: r.path ?? r.uri ?? r.url ?? '', method: String(r.method ?? 'GET').toUpperCase(), query: r.query ?? r.params,
                pathParameters: r.pathParameters, data, bodyBase64, headers, baseUri: r.baseUri,
            },
        });
        const result = clientResult(r.responseType, answer);
        return r.returnFullResponse ? { data: result, status: answer.status, statusCode: answer.status, headers: answer.headers } : result;
    }
    const client = { makeApiRequest: request, request };
    client.get = (p, query, options) => request({ ...options, path: p, method: 'GET', query: { ...options?.query, ...query } });
    for (const method of ['post', 'put', 'patch', 'delete'])
        client[method] = (p, data, options) => request({ ...options, path: p, method, data });
    return client;
}

// A token that the SDK can read and nobody accepts.
function standIn(customer) {
    const part = (v) => toBuffer(toJson(v)).toString('base64url');
    return `${part({ alg: 'none', typ: 'JWT' })}.${part({ id: customer, exp: 4102444800 })}.x`;
}

// The client of the SDK for this server, as the customer of the job.
function engineClient({ uri, customer }) {
    const { MembraneClient } = library('@membranehq/sdk');
    engine = { uri, token: standIn(customer) };
    const client = new MembraneClient({ apiUri: uri, token: engine.token });
    const { makeApiRequest } = client;
    client.makeApiRequest = (method, params) =>
        typeof method === 'object' && method !== null
            ? client.makeApiRequest((method.method ?? 'GET').toUpperCase(), { ...method, url: method.path ?? method.url, params: method.query ?? method.params })
            : makeApiRequest.call(client, method, params);
    return client;
}
