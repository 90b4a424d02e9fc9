// Mapping 1,000 records with our formulas and with the public SDK, both in this run, each on one core:
//   ninja -C build bench/formula/bench_formula && node bench/formula/bench_formula.mjs
// The packages of test/node must be installed (scripts/setup).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { elements } from '../../test/node/formula/fixture_elements.mjs';
import { sdk } from '../../test/node/formula/vector_format.mjs';

const require = createRequire(new URL('../../test/node/', import.meta.url));
const jsonata = require('jsonata');
const program = process.env.BENCH_FORMULA ?? 'build/bench/formula/bench_formula';
const rounds = Number(process.env.ROUNDS ?? 11);

const record = (i) => ({
  id: `rec_${i}`, firstName: `Ada ${i}`, lastName: 'Lövelace', fullName: `Ada ${i} Lövelace`, name: `Ada ${i} Lövelace`,
  email: `ada.${i}@example.com`, primaryEmail: `ada.${i}@example.com`, phone: i % 3 ? `+44 20 ${i}` : null, amount: i * 7.25, quantity: i % 50,
  active: i % 3 > 0, status: ['new', 'open', 'won', 'lost'][i % 4], createdAt: '2025-11-05T08:30:12.481Z', createdTime: '2025-11-05T08:30:12.481Z',
  updatedAt: 'Wed, 05 Nov 2025 08:30:12 GMT', owner: null, company: { id: `c${i % 300}`, name: 'Example "Ltd"', size: i },
  tags: ['customer', 'vip', `tag${i % 10}`], emails: [{ value: `ada.${i}@example.com`, type: 'work' }, { value: `a${i}@home.example`, type: 'home' }],
  address: { street: `Long Street ${i}`, city: 'London', postalCode: `E${i % 90}`, geo: [i % 180, -0.5] },
  lines: [{ sku: 'a', n: 1, price: 2.5 }, { sku: 'b', n: i % 9, price: 10 }, { sku: 'c', n: 3, price: 0 }], note: 'A longer text that every sync carries along.',
});
const records = Array.from({ length: 1000 }, (_, i) => record(i));

const twentyFields = {
  externalId: { $var: '$.id' },
  name: { $concat: { values: [{ $var: 'firstName' }, { $var: 'lastName' }], delimiter: ' ' } },
  first: { $firstName: { $var: 'fullName' } },
  last: { $lastName: { $var: 'fullName' } },
  email: { $firstNotEmpty: [{ $var: 'primaryEmail' }, { $var: 'email' }, { $var: 'emails[0].value' }] },
  domain: { $domainFromEmail: { $var: 'email' } },
  phone: { $var: 'phone' },
  stage: { $map: { value: { $var: 'status' }, mapping: [{ from: 'new', to: 'lead' }, { from: 'open', to: 'deal' }, { from: 'won', to: 'customer' }], default: 'none' } },
  size: { $case: { cases: [
    { filter: { $eval: { $var: 'company.size' }, gt: 500 }, value: 'large' },
    { filter: { $and: [{ $eval: { $var: 'company.size' }, gt: 50 }, { $eval: { $var: 'active' }, is: true }] }, value: 'medium' }], default: 'small' } },
  created: { $extractDate: { $var: 'createdAt' } },
  time: { $extractTime: { $var: 'updatedAt' } },
  label: { $tpl: { template: '{name} <{email}>', values: { name: { $var: 'name' }, email: { $var: 'email' } } } },
  lines: { $iterate: { source: { $var: 'lines' }, item: { sku: { $var: 'item.sku' }, count: { $var: 'item.n' }, order: { $var: 'parent.id' } } } },
  address: { $mergeObjects: [{ $var: 'address' }, { country: 'GB' }] },
  street: { $var: 'address.street' },
  vip: { $eval: { $var: 'tags' }, contains: 'vip' },
  custom: { source: 'sync', geo: [{ $var: 'address.geo[0]' }, { $var: 'address.geo[1]' }] },
  open: { $or: [{ $eval: { $var: 'status' }, is: 'open' }, { $eval: { $var: 'quantity' }, gte: 40 }] },
  note: { $var: 'note' },
  constants: { a: 1, b: ['x', 'y'], c: { d: true } },
};
const dataFilter = [
  { field: 'status', operator: 'is_one_of', value: ['open', 'won'] },
  { field: 'company.size', operator: 'more_than', value: 100 },
  { field: 'emails.value', operator: 'contains', value: 'example.com' },
  { field: 'active', operator: 'is_true' },
];

const expression = `{
  "id": id, "name": firstName & " " & lastName, "work": emails[type = "work"].value, "total": $sum(lines.(n * price)),
  "skus": $join(lines[n > 0].sku, ","), "city": $uppercase(address.city), "vip": "vip" in tags,
  "stage": status = "won" ? "customer" : "lead", "day": $substringBefore(createdAt, "T")
}`;
const mappings = [], formulaFilters = [];
const collectFilters = (v) => {
  if (v === null || typeof v !== 'object') return;
  if (!Array.isArray(v) && v.filter && sdk.hasFormulas(v.filter)) formulaFilters.push(v.filter);
  Object.values(v).forEach(collectFilters);
};
for (const [, element] of elements()) {
  for (const key of ['importValue', 'exportValue']) if (element[key] && sdk.hasFormulas(element[key])) mappings.push(element[key]);
  collectFilters(element);
}

const job = (name, form, values) => ({ name, form, values, records });
const jobs = [
  job('20-field mapping, built', 'build', [twentyFields]),
  job('20-field mapping, resolved', 'resolve', [twentyFields]),
  job(`${mappings.length} field mappings of the fixture, built`, 'build', mappings),
  job(`${mappings.length} field mappings of the fixture, resolved`, 'resolve', mappings),
  job(`${formulaFilters.length} formula filters of the fixture, built`, 'build', formulaFilters),
  job('data filter of 4 conditions', 'filter', [dataFilter]),
  job('JSONata of 9 fields, built', 'build', [{ $jsonata: expression }]),
  // The library compiled once, without the SDK around it.
  { ...job('JSONata of 9 fields, the library alone', 'build', [{ $jsonata: expression }]), compiled: jsonata(expression) },
];

async function sdkRound({ form, values, compiled }) {
  let results = 0;
  const start = performance.now();
  for (const value of values)
    for (const r of records) {
      const result = compiled ? compiled.evaluate(r) : form === 'filter' ? sdk.doesMatchFilter(r, value)
        : form === 'build' ? sdk.buildValue(value, r) : await sdk.resolveFormulas(value, { variables: r });
      results += form === 'filter' ? result : result !== undefined;
    }
  return { ms: performance.now() - start, results };
}

const folder = mkdtempSync(join(tmpdir(), 'bench-formula-'));
writeFileSync(join(folder, 'jobs.json'), JSON.stringify({ rounds, jobs: jobs.map(({ compiled, ...rest }) => rest) }));
const { stdout, status } = spawnSync(program, [join(folder, 'jobs.json')], { encoding: 'utf8' });
rmSync(folder, { recursive: true });
if (status !== 0) throw new Error(`${program} failed`);
const ours = stdout.trim().split('\n').map((line) => JSON.parse(line));

console.log('| per 1,000 records | ours, ms | SDK, ms | times | bytes a record |\n|---|---|---|---|---|');
for (const [i, j] of jobs.entries()) {
  const times = [];
  let results;
  for (let k = 0; k < Math.max(5, rounds); k++) {
    const round = await sdkRound(j);
    times.push(round.ms);
    results = round.results;
  }
  const ms = times.slice(2).sort((x, y) => x - y)[Math.floor((times.length - 2) / 2)];
  if (results !== ours[i].results) throw new Error(`${j.name}: ${ours[i].results} results, the SDK has ${results}`);
  console.log(`| ${j.name} | ${ours[i].ms.toFixed(2)} | ${ms.toFixed(1)} | ${(ms / ours[i].ms).toFixed(1)} | ${ours[i].bytes} |`);
}
