// Random calls answered by the vectors' runner and by the public SDK; every answer must agree.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { agrees, answer } from './vector_format.mjs';

/** Random numbers that a seed decides, and what generators build from them. */
export function randomness(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n) => Math.floor(random() * n);
  const chance = (p) => random() < p;
  const pick = (list) => list[below(list.length)];
  const list = (max, make) => Array.from({ length: below(max + 1) }, make);
  const weighted = (...choices) => {
    let n = random() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of choices) if ((n -= weight) < 0) return make();
    return choices.at(-1)[1]();
  };
  return { below, chance, pick, list, weighted };
}

/** Runs {id, fn, args} through both and fails with the shortest differences. */
export async function assertAgreement(runner, calls) {
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
  const shown = Number(process.env.DIFFERENTIAL_SHOWN ?? 10);
  assert.equal(differences.length, 0,
    `${differences.length} differences ${JSON.stringify(byFunction)}, the shortest:\n` +
      differences.map((d) => JSON.stringify(d)).sort((x, y) => x.length - y.length).slice(0, shown).join('\n'));
}
