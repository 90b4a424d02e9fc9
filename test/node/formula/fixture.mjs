// Every field mapping, filter and node configuration of the fixture workspace on generated records:
// our answers against the public SDK's. VECTORS_RUN names the vectors' runner.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { elements } from './fixture_elements.mjs';
import { agrees, answer, encode, sdk } from './vector_format.mjs';
import { generator } from './generator.mjs';

const runner = process.env.VECTORS_RUN ?? 'build/test/vectors/run';
const records = Number(process.env.FIXTURE_RECORDS ?? 5);
const random = generator(20250725);

/** The parts of an element that are evaluated at run time: {name: value}. */
function evaluated(element) {
  const parts = {};
  for (const key of ['importValue', 'exportValue', 'defaultImportValue', 'defaultExportValue', 'config', 'filter'])
    if (element[key] !== undefined) parts[key] = element[key];
  for (const [key, node] of Object.entries(element.nodes ?? {}))
    if (node?.config !== undefined) parts[`nodes.${key}.config`] = node.config;
  return parts;
}

/** Every array that looks like a data filter, anywhere inside. */
function* filters(value) {
  if (value === null || typeof value !== 'object') return;
  if (Array.isArray(value) && value.length && value.every((c) => c && typeof c === 'object' && 'operator' in c)) yield value;
  for (const item of Object.values(value)) yield* filters(item);
}

/** A record that has most of the variables that a value names. */
function record(value) {
  let data = {};
  for (const position of sdk.getVariableLocators(value)) {
    const locator = sdk.getValueAtLocator(value, `${position}.$var`);
    if (sdk.isValidLocator(locator) && locator !== '$' && random.chance(0.8))
      data = sdk.setValueAtLocator(data, locator, random.chance(0.7) ? random.text() : [{ id: 1, value: random.text() }, random.text()]);
  }
  return random.chance(0.1) ? encode(random.variables()) : encode(data);
}

test('every evaluated part of the fixture workspace gives what the SDK gives', async () => {
  const calls = [];
  let parts = 0, mappings = 0, filterCount = 0;

  for (const [path, element] of elements()) {
    for (const [name, value] of Object.entries(evaluated(element))) {
      parts++;
      if (/portValue|ImportValue|ExportValue/.test(name)) mappings++;
      for (let i = 0; i < records; i++) {
        const variables = record(value);
        calls.push({ id: `${path} ${name} ${i} build`, fn: 'buildValue', args: [value, variables] });
        calls.push({ id: `${path} ${name} ${i} resolve`, fn: 'resolveFormulas',
          args: [value, { variables, stubs: ['resolveImportDataLink', 'resolveExportDataLink', 'resolveLookup'] }] });
      }
      calls.push({ id: `${path} ${name} variables`, fn: 'getVariableLocators', args: [value] });
    }
    for (const filter of filters(element)) {
      filterCount++;
      for (let i = 0; i < records; i++)
        calls.push({ id: `${path} filter ${i}`, fn: 'doesMatchFilter', args: [record(filter), filter] });
    }
  }
  const { stdout, status } = spawnSync(runner, ['--answer'], {
    input: calls.map((c) => JSON.stringify(c)).join('\n') + '\n', maxBuffer: 2 ** 30, encoding: 'utf8' });
  assert.equal(status, 0);
  const answers = stdout.trim().split('\n').map((line) => JSON.parse(line));
  const differences = [];
  for (const [i, c] of calls.entries()) {
    const expected = await answer(c);
    if (!agrees(expected, answers[i])) differences.push({ ...c, expected, got: answers[i] });
  }
  console.log(`${parts} parts, ${mappings} of them mappings, ${filterCount} data filters, ${calls.length} calls`);
  assert.ok(mappings > 100 && parts > 300, `too little found: ${parts} parts, ${mappings} mappings`);
  assert.equal(differences.length, 0, differences.slice(0, 5).map((d) => JSON.stringify(d)).join('\n'));
});
