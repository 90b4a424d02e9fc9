// ---- errors: those of the platform keep their type, those of the code get their place ----

const MAIN = 'code.js';
const MAX_MESSAGE = 10000;

const dataOf = new WeakMap(); // error -> ErrorData, for errors that keep their type
const ERROR_NAMES = { connection: 'ConnectionError', bad_request: 'BadRequestError', configuration: 'ConfigurationError' };

function asError(data) {
    const error = new Error(data.message);
    error.name = ERROR_NAMES[data.type] ?? 'MembraneError';
    error.type = data.type;
    error.key = data.key;
    // Both shapes that code knows: the details, and the SDK's, where they lie one deeper.
    error.data = { ...data.data };
    for (const name of ['type', 'key', 'message', 'data']) if (!(name in error.data)) Object.defineProperty(error.data, name, { value: data[name] });
    error.errorData = data;
    const response = data.data?.response;
    if (response) error.response = { ...response, status: response.status ?? response.statusCode };
    dataOf.set(error, data);
    return error;
}

// An error of the guest itself; it has no place in the code.
const failure = (message, runnerKey) => Object.assign(new Error(message), { runnerKey, stack: '' });

const sources = new Map(); // file name -> what the author wrote
const sourceMaps = new Map(); // file name -> from what runs to what the author wrote

const namesPattern = () => [...sources.keys()].map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');

// [line, column] in the author's source of a place in what runs; both count from 1.
function inSource(file, line, column) {
    const entry = sourceMaps.get(file)?.findEntry(line - 1, column - 1);
    return entry?.originalLine === undefined ? [line, column] : [entry.originalLine + 1, entry.originalColumn + 1];
}

function placeIn(error) {
    if (error?.place) return error.place;
    const stack = typeof error?.stack === 'string' ? error.stack : '';
    const names = namesPattern();
    if (!names) return undefined;
    const parse = new RegExp(`^(${names}):(\\d+)\\n(?:.*\\n)?( *)\\^`).exec(stack);
    const frame = new RegExp(`(?:^|[\\s(/])(${names}):(\\d+):(\\d+)`).exec(stack);
    if (error instanceof SyntaxError && parse) return [parse[1], +parse[2], parse[3].length + 1];
    if (frame) return [frame[1], ...inSource(frame[1], +frame[2], +frame[3])];
    return parse ? [parse[1], +parse[2], parse[3].length + 1] : undefined;
}

function positionOf(error) {
    const [file, line, column] = placeIn(error) ?? [];
    if (file === undefined) return {};
    const code = sources.get(file)?.split('\n')[line - 1]?.slice(0, 500);
    return { lineNumber: line, columnNumber: column, code, ...(file === MAIN ? {} : { file }) };
}

// The lines of the stack that are of the author's files.
function ownFrames(error) {
    const stack = typeof error?.stack === 'string' ? error.stack : '';
    const names = namesPattern();
    const place = new RegExp(`(${names}):(\\d+):(\\d+)`);
    return stack.split('\n').filter((line) => /^\s+at /.test(line) && names && place.test(line)).slice(0, 20)
        .map((line) => line.trim().replace(place, (_, file, l, c) => [file, ...inSource(file, +l, +c)].join(':'))).join('\n').slice(0, 4000);
}

function describe(error) {
    if (error !== null && typeof error === 'object') {
        const name = typeof error.name === 'string' && error.name !== 'Error' ? `${error.name}: ` : '';
        if (typeof error.message === 'string') return (name + error.message).slice(0, MAX_MESSAGE);
        try {
            return toJson(error).slice(0, MAX_MESSAGE);
        } catch {
            return 'an object was thrown';
        }
    }
    return String(error).slice(0, MAX_MESSAGE);
}

const outOfMemory = (error) => /allocation failed|Failed to allocate memory|Invalid array buffer length/i.test(error?.message);

// Errors of the SDK's classes are errors of the platform, whoever throws them.
const sdkData = (error) => (error?.isMembraneError && typeof error.data?.type === 'string' ? { ...error.data, stack: undefined, logs: undefined } : undefined);

// What an app answered to axios, as far as it helps to find out why.
function causeOf(error) {
    const kept = dataOf.get(error?.cause) ?? dataOf.get(error);
    if (kept) return kept;
    const { response, config } = error ?? {};
    if (!error?.isAxiosError || !response) return undefined;
    return {
        type: 'connection', message: describe(error),
        data: { request: { url: config?.url, method: config?.method }, response: { status: response.status, data: response.data } },
    };
}

function fail(error) {
    let frame;
    try {
        const position = positionOf(error);
        const kept = dataOf.get(error) ?? sdkData(error);
        if (kept) frame = { t: 'error', error: kept, position };
        else {
            const data = { ...position };
            const key = typeof error?.runnerKey === 'string' ? error.runnerKey : outOfMemory(error) ? 'memory_limit' : undefined;
            const own = ownFrames(error);
            if (own) data.stack = own;
            frame = { t: 'error', error: { type: 'custom_code', key, message: describe(error), data, causedByError: causeOf(error) } };
        }
        frame = toJson(frame);
        if (frame.length > 1e6) throw frame;
    } catch {
        frame = '{"t":"error","error":{"type":"custom_code","message":"The code threw something that can not be told"}}';
    }
    finish(frame);
}
