// Random calls answered by the vectors' runner and by the public SDK; every answer must agree.
// VECTORS_RUN names the runner; DIFFERENTIAL_CASES how many calls (20000), DIFFERENTIAL_SEED where to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { agrees, answer } from './vector_format.mjs';
import { generator } from './generator.mjs';

const cases = Number(process.env.DIFFERENTIAL_CASES ?? 20000);
const seed = Number(process.env.DIFFERENTIAL_SEED ?? 20251105);
const runner = process.env.VECTORS_RUN ?? 'build/test/vectors/run';

test(`${cases} random calls answer as the SDK does`, async () => {
  const { call } = generator(seed);
  const calls = Array.from({ length: cases }, call);
  const { stdout, status } = spawnSync(runner, ['--answer'], {
    input: calls.map((c) => JSON.stringify(c)).join('\n') + '\n',
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  });
  const answers = stdout.trim().split('\n').map((line) => JSON.parse(line));
  const differences = [];
  const byFunction = {};

  assert.equal(status, 0);
  assert.equal(answers.length, calls.length);
  for (const [i, c] of calls.entries()) {
    const expected = await answer(c);
    if (agrees(expected, answers[i])) continue;
    byFunction[c.fn] = (byFunction[c.fn] ?? 0) + 1;
    differences.push({ ...c, expected, got: answers[i] });
  }
  assert.equal(differences.length, 0,
    `${differences.length} differences ${JSON.stringify(byFunction)}, the shortest:\n` +
      differences.map((d) => JSON.stringify(d)).sort((x, y) => x.length - y.length).slice(0, Number(process.env.DIFFERENTIAL_SHOWN ?? 10)).join('\n'));
});
