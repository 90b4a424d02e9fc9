// Random calls of the functions over schemas, filters, forms, locations, flow graphs and workspace
// exports; every answer must agree with the public SDK's. VECTORS_RUN names the runner;
// DIFFERENTIAL_CASES how many calls (20000), DIFFERENTIAL_SEED where to start.
import { test } from 'node:test';
import { assertAgreement } from '../formula/random_calls.mjs';
import { schemaCalls } from './schema_calls.mjs';

const cases = Number(process.env.DIFFERENTIAL_CASES ?? 20000);
const seed = Number(process.env.DIFFERENTIAL_SEED ?? 20251105);

test(`${cases} random calls answer as the SDK does`, async () => {
  const call = schemaCalls(seed);
  await assertAgreement(process.env.VECTORS_RUN ?? 'build/test/vectors/run', Array.from({ length: cases }, call));
});
