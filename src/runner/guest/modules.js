// ---- modules: what code may be and what it may import ----

const ALLOWED = new Set(['assert', 'async_hooks', 'buffer', 'crypto', 'diagnostics_channel', 'events', 'path',
    'perf_hooks', 'punycode', 'querystring', 'stream', 'stream/promises', 'stream/web', 'string_decoder', 'timers',
    'timers/promises', 'url', 'util', 'util/types', 'zlib']);
const LIBRARY_OF = { axios: 'axios', '@membranehq/sdk': '@membranehq/sdk', '@integration-app/sdk': '@membranehq/sdk', jsonata: 'jsonata', lodash: 'lodash' };

const files = new Map(); // path -> source, of the connector's archive
const compiled = new Map();
const commons = new Map();
const libraries = new Map();

// A bundled package; its code is run when it is first asked for.
function library(name) {
    if (libraries.has(name)) return libraries.get(name);
    if (typeof LIBRARIES[name] !== 'string') throw refused(name);
    const module = { exports: {} };
    vm.compileFunction(LIBRARIES[name], ['module', 'exports', 'require'], { filename: `membrane:${name}` }).call(module.exports, module, module.exports, library);
    const ns = name === 'axios' ? prepareAxios(module.exports.default ?? module.exports) : module.exports;
    libraries.set(name, ns);
    return ns;
}

function builtin(spec) {
    const name = spec.replace(/^node:/, '');
    if (Object.hasOwn(LIBRARY_OF, spec)) return library(LIBRARY_OF[spec]);
    if (ALLOWED.has(name)) return require(name);
    return undefined;
}

function resolveFile(spec, from) {
    const base = path.posix.normalize(path.posix.join(path.posix.dirname(from), spec));
    for (const end of ['', '.js', '.ts', '.mjs', '.cjs', '.json', '/index.js', '/index.ts']) if (files.has(base + end)) return base + end;
    throw failure(`Cannot find module '${String(spec).slice(0, 200)}'`, 'module_not_found');
}

const refused = (spec) => failure(`Module '${String(spec).slice(0, 200)}' is not available in custom code`, 'module_not_allowed');

function synthetic(ns) {
    const names = [...new Set(['default', ...Object.keys(ns)])].filter((n) => n !== '__esModule');
    return new vm.SyntheticModule(names, function () {
        for (const name of names) this.setExport(name, name === 'default' ? (ns.__esModule && ns.default) || ns : ns[name]);
    });
}

function moduleFor(spec, from) {
    const ns = builtin(spec);
    const id = ns ? spec : spec.startsWith('.') ? resolveFile(spec, from) : undefined;
    if (!id) throw refused(spec);
    if (!compiled.has(id)) compiled.set(id, ns ? synthetic(ns) : id.endsWith('.json') ? synthetic(fromJson(files.get(id))) : esModuleOrCommon(id, files.get(id)));
    return compiled.get(id);
}

const linker = (spec, referrer) => moduleFor(spec, referrer.identifier);

async function importDynamically(spec, referrer) {
    const m = moduleFor(spec, referrer?.identifier ?? MAIN);
    if (m.status === 'unlinked') await m.link(linker);
    if (m.status !== 'evaluated') await m.evaluate();
    return m;
}

// ---- readings of a text ----

const asModule = (source, name) => new vm.SourceTextModule(source, {
    identifier: name, importModuleDynamically: importDynamically,
    initializeImportMeta: (meta) => void (meta.url = `file:///${name}`),
});

const compileCommon = (text, name) =>
    vm.compileFunction(text, ['module', 'exports', 'require'], { filename: name, importModuleDynamically: (spec) => importDynamically(spec, { identifier: name }) });

const SAYS_MODULE = /^\s*(import\s*[\w*{'"]|export\s+[\w*{]|export\s*[{*])/m;
const SAYS_COMMON = /\b(module\s*\.\s*exports|exports\s*\.\s*\w+\s*=|exports\s*\[|require\s*\()/;

// {module} or {common}, in the order of likelihood.
function parseScript(text, name) {
    const module = SAYS_MODULE.test(text) || !SAYS_COMMON.test(text);
    try {
        return module ? { module: asModule(text, name) } : { common: compileCommon(text, name) };
    } catch (first) {
        if (!module || SAYS_MODULE.test(text) || !SAYS_COMMON.test(text)) throw first;
        return { common: compileCommon(text, name) };
    }
}

// V8 keeps the place of a syntax error in a module to itself. A script tells it, so the code
// is made one, place by place, and broken in the same way.
function placeOfSyntaxError(source, name) {
    const blank = (m) => m.replace(/[^\n]/g, ' ');
    const script = source.replace(/^(\s*)export\s+default\b(?!\s*(async\s+)?(function|class)\b)/m, (m, s) => s + 'var _'.padEnd(m.length - s.length - 1) + '=')
        .replace(/^\s*export\s+default\b|^\s*export\b(?!\s*[{*])/gm, blank).replace(/^\s*(import|export)\b[^;\n]*?['"][^'"\n]*['"];?/gm, blank);
    try {
        new vm.Script('async()=>{' + script + '\n}', { filename: name, columnOffset: -10 });
    } catch (e) {
        const place = /^[^\n]*:(\d+)\n(.*)\n( *)\^/.exec(e.stack ?? '');
        if (place) return [name, +place[1], +place[3].length + 1 - (place[1] === '1' ? 10 : 0)];
    }
    return undefined;
}

// JavaScript of a TypeScript text. Enums and namespaces are translated, which moves what follows.
function stripTypes(source, name) {
    const strip = nodeModule.stripTypeScriptTypes;
    if (!strip) throw failure('TypeScript needs Node.js 22.13 or newer', 'typescript_not_available');
    try {
        return strip(source, { mode: 'strip' });
    } catch (e) {
        if (e?.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') throw e;
    }
    const [text, map] = strip(source, { mode: 'transform', sourceMap: true, sourceUrl: name }).split(/\n*\/\/# sourceMappingURL=data:application\/json;base64,/);
    if (map) sourceMaps.set(name, new nodeModule.SourceMap(fromJson(toBuffer(map, 'base64').toString())));
    return text;
}

// Of the two parsers the one that came further knows better what is wrong.
function whichSyntaxError(script, typed, source, name) {
    script.place = placeOfSyntaxError(source, name);
    const told = /:(\d+)\n[^]*?\n( *)\^/.exec(typed?.stack ?? '');
    if (!told || typed.code !== 'ERR_INVALID_TYPESCRIPT_SYNTAX') return script;
    const place = [name, +told[1], told[2].length + 1];
    if (script.place?.[1] === place[1]) return script;
    return Object.assign(new SyntaxError(typed.message), { place });
}

// The code in one of its possible readings.
function parse(source, name) {
    let first;
    sources.set(name, source);
    try {
        return parseScript(source, name);
    } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        first = error;
    }
    let stripped;
    try {
        stripped = stripTypes(source, name);
    } catch (e) {
        throw whichSyntaxError(first, e, source, name);
    }
    if (stripped === source) throw whichSyntaxError(first, undefined, source, name);
    try {
        return parseScript(stripped, name);
    } catch (error) {
        throw error instanceof SyntaxError ? whichSyntaxError(error, undefined, stripped, name) : error;
    }
}

// ---- running ----

function runCommon(fn, name) {
    const module = { exports: {} };
    commons.set(name, module);
    const requireHere = (spec) => {
        const ns = builtin(String(spec));
        if (ns) return ns;
        if (!String(spec).startsWith('.')) throw refused(spec);
        const id = resolveFile(spec, name);
        if (id.endsWith('.json')) return fromJson(files.get(id));
        if (commons.has(id)) return commons.get(id).exports;
        const { common } = parse(files.get(id), id);
        if (!common) throw failure(`'${spec}' is an ES module: use import`, 'module_not_found');
        return runCommon(common, id);
    };
    fn.call(module.exports, module, module.exports, requireHere);
    return module.exports;
}

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

// The function that a job is: the one named, the default, or the only one.
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
