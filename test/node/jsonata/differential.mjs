// Random expressions against the published jsonata: the same value, no value, or an error of the
// same code. JSONATA_LINES names our program; DIFFERENTIAL_CASES how many (20000),
// DIFFERENTIAL_SEED where to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import jsonata from 'jsonata';
import { generator } from './generator.mjs';

const cases = Number(process.env.DIFFERENTIAL_CASES ?? 20000);
const seed = Number(process.env.DIFFERENTIAL_SEED ?? 20251105);
const now = 1762331412481; // as in jsonata_lines.c
const RealDate = Date;

// The library's clock stands still.
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length) super(...args);
    else super(now);
  }
};

/** What the library answers, in our program's form. */
function expected({ expr, data }) {
  try {
    const result = jsonata(expr).evaluate(data === undefined ? undefined : JSON.parse(JSON.stringify(data)));
    const text = JSON.stringify(typeof result === 'function' || result?._jsonata_lambda || result?._jsonata_function ? undefined : result, plain);
    return text === undefined ? '{}' : `{"result":${text}}`;
  } catch (error) {
    if (error instanceof RangeError) return null; // its stack overflowed: no answer to compare with
    return `error ${error.code ?? null}`;
  }
}

/** Functions do not leave an evaluation. */
function plain(key, value) {
  return value && typeof value === 'object' && (value._jsonata_lambda || value._jsonata_function) ? undefined : value;
}

function shape(line) {
  const answer = JSON.parse(line);
  return 'error' in answer ? `error ${answer.error}` : line;
}

test(`${cases} random expressions give what jsonata gives`, () => {
  const random = generator(seed);
  // An object constructor adds undefined to an empty input array, in place: we do not change inputs.
  const filled = (data) => (Array.isArray(data) && data.length === 0 ? [0] : data);
  const lines = Array.from({ length: cases }, () => ({ expr: random.expression(), data: filled(random.data()) }));
  const run = spawnSync(process.env.JSONATA_LINES ?? 'build/test/jsonata/jsonata_lines', [], {
    input: lines.map((line) => JSON.stringify(line)).join('\n') + '\n',
    maxBuffer: 2 ** 30,
  });
  assert.equal(run.status, 0, String(run.stderr));
  const got = run.stdout.toString('utf8').split('\n');
  const different = [];

  lines.forEach((line, i) => {
    const want = expected(line);
    if (want !== null && shape(got[i]) !== want) different.push({ ...line, want, got: got[i] });
  });
  for (const { expr, data, want, got: ours } of different.slice(0, Number(process.env.DIFFERENTIAL_SHOW ?? 5)))
    console.error(`${expr}\n  data ${JSON.stringify(data)}\n  want ${want}\n  got  ${ours}\n`);
  assert.equal(different.length, 0, `${different.length} of ${cases} differ`);
});
