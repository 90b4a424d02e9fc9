// `membrane formula eval`, as a person who debugs a mapping uses it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const binary = process.env.MEMBRANE_BIN ?? 'build/membrane';
let folder;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'formula-command-'));
  writeFileSync(join(folder, 'variables.json'), '{"name":"Ada King","list":[1,2]}');
  writeFileSync(join(folder, 'mapping.json'), '{"first":{"$firstName":{"$var":"name"}},"none":{"$var":"missing"}}');
});
after(() => rmSync(folder, { recursive: true }));

// The binary's path may be relative to where the tests were started.
const absolute = binary.startsWith('/') ? binary : join(process.cwd(), binary);
const evaluate = (args, input) => spawnSync(absolute, ['formula', 'eval', ...args], { input: input ?? '', encoding: 'utf8', cwd: folder });

test('a mapping in a file is evaluated with variables of another file', () => {
  const { stdout, status } = evaluate(['mapping.json', '-v', 'variables.json']);
  assert.equal(status, 0);
  assert.deepEqual(JSON.parse(stdout), { first: 'Ada' });
});

test('the value can come from standard input and from the command line', () => {
  assert.equal(evaluate([], '{"$concat":["a",1]}').stdout, '"a1"\n');
  assert.equal(evaluate(['-e', '{"$var":"x"}', '-v', '-'], '{"x":[1]}').stdout, '[\n  1\n]\n');
});

test('nothing is printed as the word undefined', () => {
  assert.equal(evaluate(['-e', '{"$var":"x"}']).stdout, 'undefined\n');
});

test('--explain prints every step apart from the result', () => {
  const { stdout, stderr } = evaluate(['-e', '{"n":{"$concat":[{"$var":"name"},"!"]}}', '-v', 'variables.json', '--explain']);
  assert.deepEqual(JSON.parse(stdout), { n: 'Ada King!' });
  assert.match(stderr, /1 {2}\$\.n\.\$concat\[0\][^]*= "Ada King"[^]*2 {2}\$\.n\n[^]*= "Ada King!"/);
});

test('the forms differ as they do in the platform', () => {
  const copy = '{"a":1,"b":{"$copy":"a"}}';
  assert.deepEqual(JSON.parse(evaluate(['-e', copy, '--build']).stdout), { a: 1, b: { $copy: 'a' } });
  assert.deepEqual(JSON.parse(evaluate(['-e', copy, '--data']).stdout), { a: 1, b: 1 });
});

test('bad JSON, a failing formula and wrong options say what is wrong', () => {
  const json = evaluate([], '{"a":');
  assert.equal(json.status, 65);
  assert.match(json.stderr, /^membrane formula: -: /);
  const formula = evaluate(['-e', '{"a":{"$valueOf":1}}']);
  assert.equal(formula.status, 65);
  assert.match(formula.stderr, /bad_request: Reserved name used as a formula at \$\.a/);
  assert.equal(evaluate(['--nope']).status, 64);
  assert.equal(evaluate(['none.json']).status, 66);
});
