// The phases of bench_schema.c with the public SDK in Node.js.
// Usage: node bench/schema/bench_schema.mjs (after scripts/setup)
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../test/node/package.json', import.meta.url));
const sdk = require('@membranehq/sdk');
const RECORDS = 2000, ROUNDS = 15;
const text = { type: 'string' }, number = { type: 'number' };
const records = Array.from({ length: RECORDS }, (_, i) => ({
  id: `r${i}`, email: `ada.${i}@example.com`, amount: `${i}.5`, active: i % 3 !== 0, company: { name: 'Example', size: i % 50 },
  lines: [{ sku: `s${i % 9}`, n: 1 }, { sku: `s${i % 5}`, n: 2.5 }], more: null,
}));
const filter = [
  { field: 'company.size', operator: 'more_than', value: 10 }, { field: 'email', operator: 'contains', value: 'example' },
  { field: 'lines.sku', operator: 'is_one_of', value: ['s1', 's7'] }, { field: 'active', operator: 'is_true' },
];
const schema = { type: 'object', required: ['id', 'email'], properties: {
  id: text, email: text, amount: number, active: { type: 'boolean' },
  company: { type: 'object', properties: { name: text, size: { type: 'integer' } }, required: ['size'] },
  lines: { type: 'array', items: { type: 'object', properties: { sku: text, n: number } } }, currency: { ...text, default: 'EUR' } } };
const phases = {
  match: () => records.filter((r) => sdk.doesMatchFilter(r, filter)).length,
  fit: () => records.map((r) => sdk.valueToSchema(r, schema, { addDefaults: true, normalizeValues: true, skipUnknownFields: true })).length,
  infer: () => sdk.createCompoundSchema(records).type.length,
};

for (const [name, phase] of Object.entries(phases)) {
  let best = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.hrtime.bigint();
    phase();
    best = Math.min(best, Number(process.hrtime.bigint() - start));
  }
  console.log(`${name.padEnd(10)} ${(best / RECORDS).toFixed(0).padStart(8)} ns/record`);
}
