// Evaluations per case over 1,000 records, ours and jsonata 1.8.9 under this Node in the same run:
//   ninja -C build bench/jsonata/bench_jsonata && node bench/jsonata/run.mjs
// The library comes from test/node (scripts/setup installs it).
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const root = new URL('../../', import.meta.url);
const jsonata = createRequire(new URL('test/node/package.json', root))('jsonata');

const data = {
  records: Array.from({ length: 1000 }, (_, i) => ({
    id: `rec_${i}`, firstName: `Ada${i}`, lastName: 'Lovelace', email: `Ada.${i}@Example.com`, amount: i * 7 + (i % 100) / 100,
    quantity: i % 50, active: i % 3 > 0, createdAt: '2025-11-05T08:30:12.481Z', owner: null, country: ['UK', 'FR', 'DE'][i % 3],
    company: { id: `c${i % 30}`, name: 'Example', size: i }, tags: ['customer', 'vip', `tag${i % 10}`],
    lines: Array.from({ length: 3 }, (_, k) => ({ sku: `s${k}`, price: i + k / 10, quantity: k + 1 })),
  })),
};
const cases = [
  { name: 'path', expr: 'records.lines.price' },
  { name: 'filter', expr: 'records[active and amount > 1000].email' },
  { name: 'map 8 fields', expr: 'records.{"key": id, "name": firstName & " " & lastName, "mail": $lowercase(email), "total": $sum(lines.(price * quantity)), "company": company.name, "tag": tags[0], "big": amount > 500 ? "yes" : "no", "on": $substringBefore(createdAt, "T")}' },
  { name: 'group', expr: 'records{country: {"n": $count(id), "sum": $sum(amount)}}' },
  { name: 'sort', expr: 'records^(>amount, lastName).id' },
  { name: 'functions', expr: '$reduce($map($filter(records, function($r){$r.quantity > 10}), function($r){$r.amount}), function($a, $b){$a + $b})' },
  { name: 'regex', expr: 'records.$replace(email, /([a-z]+)\\.(\\d+)@/i, "$2-$1 at ")' },
  { name: 'dates', expr: 'records.$fromMillis($toMillis(createdAt), "[D1o] [MNn] [Y]")' },
  { name: 'parent', expr: 'records.lines.{"id": %.id, "sku": sku}' },
];

function median(times) {
  return times.sort((a, b) => a - b)[times.length >> 1];
}

function theirs({ expr }) {
  const compiled = jsonata(expr);
  const times = [];
  for (let i = 0; i < 31; i++) {
    const start = process.hrtime.bigint();
    compiled.evaluate(data);
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  return median(times.slice(10)); // after V8 has warmed up
}

const run = spawnSync(new URL('build/bench/jsonata/bench_jsonata', root).pathname, [], { input: JSON.stringify({ data, cases }) });
const ours = run.stdout.toString().trim().split('\n').map((line) => JSON.parse(line));
console.log('| 1,000 records | ours, ms | jsonata, ms | ratio | bytes per record |\n|---|---|---|---|---|');
cases.forEach((test, i) => {
  const ms = theirs(test);
  console.log(`| ${test.name} | ${ours[i].ms.toFixed(2)} | ${ms.toFixed(2)} | ${(ms / ours[i].ms).toFixed(0)} | ${Math.round(ours[i].bytes / 1000)} |`);
});
