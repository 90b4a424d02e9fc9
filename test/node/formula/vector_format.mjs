// The vectors' format: values that JSON has no word for, and the calls a vector names.
import { createRequire } from 'node:module';

process.env.TZ = 'UTC';
const require = createRequire(import.meta.url);
export const sdk = require('@membranehq/sdk');

/** A fresh value from its JSON form with markers. */
export function decode(v) {
  if (Array.isArray(v)) {
    const out = [];
    v.forEach((item, i) => {
      if (item?.$$ === 'hole') out.length = i + 1;
      else out[i] = decode(item);
    });
    return out;
  }
  if (v === null || typeof v !== 'object') return v;
  switch (v.$$) {
    case undefined: break;
    case '-0': return -0;
    case 'NaN': return NaN;
    case 'Infinity': return Infinity;
    case '-Infinity': return -Infinity;
    case 'date': return new Date(v.ms ?? NaN);
    default: return undefined;
  }
  const out = {};
  for (const [key, item] of Object.entries(v))
    Object.defineProperty(out, key, { value: decode(item), enumerable: true, writable: true, configurable: true });
  return out;
}

/** The JSON form with markers. */
export function encode(v) {
  if (v === undefined || typeof v === 'function') return { $$: 'undefined' };
  if (typeof v === 'number') {
    if (Object.is(v, -0)) return { $$: '-0' };
    return Number.isFinite(v) ? v : { $$: String(v) };
  }
  if (v === null || typeof v !== 'object') return v;
  if (v instanceof Date) return { $$: 'date', ms: Number.isNaN(v.getTime()) ? null : v.getTime() };
  if (v instanceof Set) return [...v].map(encode);
  if (v instanceof Map) return [...v].map(([key, item]) => [encode(key), encode(item)]);
  if (Array.isArray(v)) return Array.from(v, encode);
  return Object.fromEntries(Object.entries(v).map(([key, item]) => [key, encode(item)]));
}

/** Equal by the rules of the vectors' README; both in their JSON form. */
export function same(x, y) {
  if (Array.isArray(x) || Array.isArray(y))
    return Array.isArray(x) && Array.isArray(y) && x.length === y.length && x.every((item, i) => same(item, y[i]));
  if (x === null || y === null || typeof x !== 'object' || typeof y !== 'object') return Object.is(x, y);
  const defined = (o) => Object.entries(o).filter(([, item]) => item?.$$ !== 'undefined');
  const a = defined(x), b = defined(y);
  return (x.$$ ?? null) === (y.$$ ?? null) && a.length === b.length &&
    a.every(([key, item], i) => key === b[i][0] && same(item, b[i][1]));
}

const stubs = {
  resolveImportDataLink: ({ dataLinkTableKey, recordId }) => `import:${dataLinkTableKey}:${recordId}`,
  resolveExportDataLink: ({ dataLinkTableKey, recordId }) => `export:${dataLinkTableKey}:${recordId}`,
  resolveLookup: (request) => request,
  getDataCollection: (key, parameters) => ({ fieldsSchema: { type: 'object', title: `collection:${key}`, parameters } }),
  getInternalDataSchema: (key) => ({ type: 'object', title: `schema:${key}` }),
};

const wrappers = {
  'DataForm.getFields': (form) => new sdk.DataForm(form).getFields(),
  'DataForm.getFieldValueOptions': (form, field) => new sdk.DataForm(form).getFieldValueOptions(field),
  'DataForm.setFieldValue': (form, field, value) => new sdk.DataForm(form).setFieldValue(field, value),
  'walkSchema.dropReadOnly': (schema) => sdk.walkSchema(schema, (s) => (s.readOnly === true ? undefined : s)),
  'walkSchema.visit': (schema) => {
    const seen = [];
    const result = sdk.walkSchema(schema, (s, locator) => (seen.push(locator), s));
    return { seen, result };
  },
  locatorToSteps: (l) => sdk.locatorToSteps(l).map((step) => ({ ...step })),
  resolveFormulas: (value, { stubs: names = [], ...rest }) =>
    sdk.resolveFormulas(value, { ...rest, ...Object.fromEntries(names.map((name) => [name, stubs[name]])) }),
  transformVariablesWith: (data, prefix) =>
    sdk.transformVariablesWith(data, (l) => (typeof l === 'string' ? prefix + l.replace(/^\$\.?/, '') : l)),
  processCopy: (data) => (sdk.processCopy(data), data),
  'formula.toObject': (v) => sdk.getFormula(v)?.toObject(),
  'eval.getOperator': (v, schema) => sdk.getFormula(v).getOperator(schema),
  'eval.getAvailableOperators': (v, schema) => sdk.getFormula(v).getAvailableOperators(schema),
};

/** What the reference answers to a call: {result} or {error}, in their JSON form. */
export async function answer({ fn, args }) {
  try {
    return { result: encode(await (wrappers[fn] ?? sdk[fn])(...args.map(decode))) };
  } catch (e) {
    if (e.isMembraneError) return { error: { kind: 'membrane', type: e.data.type, message: e.message } };
    return { error: { kind: 'js', message: e.message } };
  }
}

/** Do an expected and a given answer agree? */
export function agrees(expected, got) {
  if (!expected.error) return 'result' in got && same(expected.result, got.result);
  if (!got.error) return false;
  return expected.error.kind === 'js' ||
    (expected.error.type === got.error.type && expected.error.message === got.error.message);
}
