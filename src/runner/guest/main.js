// ---- the world that code sees, and the job ----

const KEPT_BUILTINS = ['buffer', 'console', 'crypto', 'performance'];
const REMOVED = ['require', 'module', 'exports', '__filename', '__dirname', 'gc', 'EventSource', 'WebSocket', 'Storage', 'localStorage', 'sessionStorage', 'navigator'];

function prepareGlobals() {
    const keep = globalThis.crypto;
    for (const name of [...nodeModule.builtinModules, ...REMOVED]) if (!KEPT_BUILTINS.includes(name)) delete globalThis[name];
    // Node puts its own back when the script that started it has ended.
    Object.defineProperty(globalThis, 'module', { get: () => undefined, set: () => {}, configurable: true });
    if (globalThis.crypto !== keep || !globalThis.crypto?.subtle)
        Object.defineProperty(globalThis, 'crypto', { value: require('crypto').webcrypto, configurable: true, enumerable: true, writable: true });
    globalThis.console = makeConsole();
    globalThis.fetch = fetchByHost;
    keepAwake(AbortSignal, 'timeout');
    const { nextTick, hrtime, uptime, version, versions, memoryUsage, arch } = process;
    const nothing = () => {};
    Object.defineProperty(globalThis, 'process', {
        value: { env: {}, argv: [], platform: 'linux', arch, version, versions: { ...versions }, pid: 1, nextTick, hrtime, uptime, memoryUsage, cwd: () => '/', on: nothing, once: nothing, off: nothing, emitWarning: nothing },
        configurable: true, writable: true, enumerable: false,
    });
}

// Node does not wait for the timer of AbortSignal.timeout; code that waits for it does.
function keepAwake(owner, name) {
    const original = owner[name];
    Object.defineProperty(owner, name, {
        value: (ms) => {
            const signal = original.call(owner, ms);
            setTimeout(() => {}, ms);
            return signal;
        },
        configurable: true, writable: true, enumerable: true,
    });
}

// Names of old connectors for the same things.
function addAliases(args) {
    const alias = (name, of) => {
        if (!(name in args) && of in args) args[name] = args[of];
    };
    alias('body', 'data');
    alias('connectorWebhookUri', 'webhookUri');
    alias('subscriptionState', 'state');
    alias('apiClient', 'externalApiClient');
}

// Functions of its collection that old code is given to call.
async function addHelpers(args, helpers) {
    for (const [name, code] of Object.entries(helpers)) {
        if (code === null) {
            args[name] = (given) => given;
            continue;
        }
        const fn = pick(await load(code, `${name}.js`), undefined);
        args[name] = (given) => fn(asArguments(given));
    }
}

// The object itself, which is also what newer code finds under a name.
function asArguments(given) {
    if (typeof given !== 'object' || given === null) return given;
    const args = { ...given };
    for (const name of ['record', 'fields']) if (!(name in args)) Object.defineProperty(args, name, { value: given });
    return args;
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
    const args = job.arguments ?? {};
    if (job.clients?.includes('external')) args.externalApiClient = apiClient('external');
    if (job.clients?.includes('internal')) args.internalApiClient = apiClient('internal');
    if (job.clients?.includes('engine')) args.engineApiClient = args.membrane = engineClient(job.engine ?? { uri: 'https://api.invalid' });
    addAliases(args);
    await addHelpers(args, job.helpers ?? {});
    const fn = pick(await load(source, name), job.entry);
    return Array.isArray(job.each) ? runEach(fn, args, job.each) : fn(args);
}

// One after the other: the calls must not see one another.
async function runEach(fn, common, list) {
    const results = [];
    for (const own of list) {
        const args = { ...common, ...own };
        addAliases(args);
        results.push((await fn(args)) ?? null);
    }
    return results;
}

function done(result, limit) {
    let text;
    try {
        text = toJson(result);
    } catch (e) {
        throw failure(`The result can not be written as JSON: ${e?.message}`, 'result_not_json');
    }
    text ??= 'null';
    if (Buffer.byteLength(text) > limit)
        throw failure(`The result is larger than the limit of ${limit} bytes`, 'output_limit');
    finish(`{"t":"done","result":${text}}`);
}

// ---- start ----

/*
 * Everything that jobs share. In a zygote this is before the fork, so nothing in here may
 * open a handle, set a timer, use libuv's threads, or draw a random number: Math.random,
 * crypto.randomUUID and randomInt (which the boundary of a form asks) keep what they drew.
 */
function warm(all) {
    const { random } = Math;
    Math.random = () => 0.5;
    vm.compileFunction('return 1', ['module'], { filename: 'warm.js' })();
    asModule('export default 1', 'warm.js');
    toJson({ a: util.format('%s', 1) });
    for (const name of ['net', 'url', 'crypto', 'stream', 'buffer']) require(name);
    if (all) warmAll();
    Math.random = random;
}

function warmAll() {
    require('http');
    new URL('https://a.example/?b=c#d');
    new Response(new Request('https://a.example/', { method: 'POST', body: 'x', headers: { a: 'b' } }).body, { status: 200 });
    makeConsole();
    if (nodeModule.stripTypeScriptTypes) {
        stripTypes('type A = 1; export default (a: A) => a', 'warm.js');
        stripTypes('enum E { A } export default E', 'warm.js');
        sourceMaps.clear();
    }
    for (const name of Object.keys(LIBRARIES)) if (name === 'axios' || name === '@membranehq/sdk') library(name);
}

// A job of the most usual kind, as far as it leaves nothing behind.
async function warmJob() {
    const fn = pick(await load('export default async ({ a }) => { await null; return { a: [a].map((x) => ({ ...x })), u: new URL("https://a.example/?b=1").href } }', 'warm.js'));
    toJson(await fn(fromJson('{"a":{"b":[1,"x",null,true]}}')));
    for (const m of [sources, compiled]) m.clear();
}

const neverSettles = () => fail(failure('The code waits for something that will never happen: its promise can not settle', 'never_settles'));
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.on('beforeExit', neverSettles);
process.on('exit', () => fail(failure('The process of the code ended', 'exited')));

function lockedProcess(wanted, uid) {
    const layers = native.lock(wanted, uid);
    prepareGlobals();
    return layers;
}

// serve() does not come back in the zygote, but in each of its children.
async function childOfZygote(wanted) {
    await warmJob();
    prepareGlobals();
    // Code of WebAssembly is let go in steps, each with the next JavaScript that runs.
    for (let i = 0; i < 3; i++) {
        native.collect();
        await null;
    }
    send({ t: 'ready', layers: 0, node: nodeVersion });
    const layers = native.serve(wanted);
    native.watch(neverSettles);
    setFlags(`--random-seed=${native.random() || 1}`);
    return layers;
}

async function main(wanted, uid, mode) {
    warm(mode === 'zygote');
    const layers = mode === 'zygote' ? await childOfZygote(wanted) : lockedProcess(wanted, uid);
    send({ t: 'ready', layers, node: nodeVersion });
    const job = fromJson(native.receive().toString('utf8'));
    native.limit(job.limits.memoryBytes / 2 ** 20, job.limits.cpuSeconds);
    done(await run(job), job.limits.outputBytes);
}

const nodeVersion = process.version;
const setFlags = require('v8').setFlagsFromString;
main(Number(process.argv[1]), Number(process.argv[2]), process.argv[3]).catch(fail);
