// Records what Node's JSON.parse decides about every text of the json-suite:
//   node test/value/record_json_suite.mjs > test/fixtures/json-suite-expected.tsv
// A line is: file name, TAB, "reject" or the text JSON.stringify gives.
import { readdirSync, readFileSync } from 'node:fs';

const dir = new URL('../fixtures/json-suite/', import.meta.url);
for (const name of readdirSync(dir).filter((n) => n.endsWith('.json')).sort()) {
  let answer = 'reject';
  try {
    answer = JSON.stringify(JSON.parse(readFileSync(new URL(name, dir)).toString('utf8')));
  } catch {
    // stays rejected
  }
  process.stdout.write(`${name}\t${answer}\n`);
}
