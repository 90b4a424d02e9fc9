// ---- axios: the published package, with requests through the supervisor ----

// Answers as axios gives them in Node.js: bytes are a Buffer, streams are Node's.
function answerData(config, body) {
    switch (config.responseType) {
    case 'arraybuffer':
        return body;
    case 'stream':
        return require('stream').Readable.from([body], { objectMode: false });
    case 'blob':
        return new Blob([body]);
    default:
        return body.toString('utf8').replace(/^\uFEFF/, '');
    }
}

async function axiosBody(axios, config, headers) {
    const { data } = config;
    if (data === undefined || data === null) return undefined;
    const special = await encodeSpecial(data, headers.get('content-type') || undefined);
    if (special?.type) headers.set('content-type', special.type);
    const body = special ? special.body : toBuffer(typeof data === 'string' ? data : toJson(data));
    if (config.maxBodyLength > -1 && body.length > config.maxBodyLength)
        throw new axios.AxiosError('Request body larger than maxBodyLength limit', axios.AxiosError.ERR_BAD_REQUEST, config);
    return body;
}

function networkError(axios, error, config, request) {
    const { AxiosError } = axios;
    const timedOut = error?.key === 'timeout';
    const message = timedOut && config.timeout ? config.timeoutErrorMessage || `timeout of ${config.timeout}ms exceeded` : error?.message;
    const code = timedOut ? (config.transitional?.clarifyTimeoutError ? AxiosError.ETIMEDOUT : AxiosError.ECONNABORTED) : AxiosError.ERR_NETWORK;
    return Object.assign(new AxiosError(message, code, config, request), { cause: error });
}

// Rejects when the request is cancelled by its signal or by a token of the old kind.
function untilCancelled(axios, config, request) {
    const cancel = (reason) => new axios.CanceledError(reason?.message && reason.name !== 'AbortError' ? reason.message : null, config, request);
    return new Promise((_, reject) => {
        config.cancelToken?.promise.then((reason) => reject(reason ?? cancel()));
        config.signal?.addEventListener?.('abort', () => reject(cancel()), { once: true });
    });
}

const axiosAdapter = (axios) => async (config) => {
    const { AxiosError, AxiosHeaders } = axios;
    const headers = AxiosHeaders.from(config.headers).normalize();
    const method = (config.method ?? 'get').toUpperCase();
    const url = axios.getUri(config);
    const request = { method, path: url };
    const body = await axiosBody(axios, config, headers);
    if (config.auth) headers.set('authorization', 'Basic ' + toBuffer(`${config.auth.username ?? ''}:${config.auth.password ?? ''}`).toString('base64'));
    headers.set('User-Agent', `axios/${axios.VERSION}`, false);
    if (config.signal?.aborted) throw new axios.CanceledError(null, config, request);
    const asked = hostRequest({
        method, url, headers: Object.entries(headers.toJSON(true)).filter(([, v]) => v !== false && v !== null), body,
        redirect: config.maxRedirects === 0 ? 'manual' : 'follow', timeoutMs: config.timeout || undefined,
    }).catch((error) => {
        throw networkError(axios, error, config, request);
    });
    const answer = await (config.signal || config.cancelToken ? Promise.race([asked, untilCancelled(axios, config, request)]) : asked);
    if (config.maxContentLength > -1 && answer.body.length > config.maxContentLength)
        throw new AxiosError(`maxContentLength size of ${config.maxContentLength} exceeded`, AxiosError.ERR_BAD_RESPONSE, config, request);
    config.onUploadProgress?.({ loaded: body?.length ?? 0, total: body?.length ?? 0, progress: 1, upload: true });
    config.onDownloadProgress?.({ loaded: answer.body.length, total: answer.body.length, progress: 1, download: true });
    const response = {
        data: answerData(config, answer.body), status: answer.status, statusText: answer.statusText, headers: headersOfAnswer(AxiosHeaders, answer.headers),
        config, request: { ...request, res: { responseUrl: answer.url } },
    };
    if (!config.validateStatus || config.validateStatus(response.status)) return response;
    const code = response.status >= 500 ? AxiosError.ERR_BAD_RESPONSE : AxiosError.ERR_BAD_REQUEST;
    throw new AxiosError(`Request failed with status code ${response.status}`, code, config, response.request, response);
};

function headersOfAnswer(AxiosHeaders, list) {
    const all = {};
    for (const [name, value] of list) {
        const key = name.toLowerCase();
        if (key === 'set-cookie') (all[key] ??= []).push(value);
        else all[key] = key in all ? `${all[key]}, ${value}` : value;
    }
    return new AxiosHeaders(all);
}

function prepareAxios(axios) {
    axios.defaults.adapter = axiosAdapter(axios);
    return axios;
}
