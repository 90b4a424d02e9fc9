// Random JSON texts, well-formed and slightly broken, through our parser and encoder and through
// Node's; every answer must be the same text. JSON_LINES names the program under test,
// DIFFERENTIAL_CASES how many texts (default 20000), DIFFERENTIAL_SEED where to start.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const cases = Number(process.env.DIFFERENTIAL_CASES ?? 20000);
let state = BigInt(process.env.DIFFERENTIAL_SEED ?? 20251105);

function random() {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number(state >> 33n) / 2 ** 31;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const repeat = (n, make) => Array.from({ length: n }, make).join('');

function randomDouble() {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, below(2 ** 31) * 2 + below(2));
  view.setUint32(4, below(2 ** 31) * 2 + below(2));
  return view.getFloat64(0);
}

function numberText() {
  switch (below(9)) {
    case 0: return String(below(100));
    case 1: return String(below(2 ** 31) * (below(2 ** 22) + 1));
    case 2: return (below(100000) / 100).toString();
    case 3: return (random() * 10 ** below(30)).toFixed(below(20));
    case 4: { const d = randomDouble(); return Number.isFinite(d) ? String(d) : '1'; }
    case 5: return repeat(1 + below(25), () => below(10));
    case 6: return `${below(10)}.${repeat(1 + below(30), () => below(10))}e${pick(['', '+', '-'])}${below(330)}`;
    case 7: return `-${below(3)}${pick(['', '.0', '.5', 'e0', 'E+2', 'e-7'])}`;
    default: return `${(2 ** (20 + below(60))).toString()}${pick(['', '1', '.5'])}`;
  }
}

function charText() {
  switch (below(8)) {
    case 0: return `\\${pick(['"', '\\', '/', 'b', 'f', 'n', 'r', 't'])}`;
    case 1: return `\\u${below(65536).toString(16).padStart(4, '0')}`;
    case 2: return `\\u${pick(['d83d\\ude00', 'd83d', 'de00', 'D800\\uDC00', 'dbff'])}`;
    case 3: return pick(['ü', '漢', '😀', '\u2028', '\u007f']);
    default: return repeat(1 + below(12), () => String.fromCharCode(35 + below(50)));
  }
}

const stringText = () => `"${repeat(below(6), charText).replaceAll('\\"', '\\"')}"`;
const keyText = () => (below(3) ? `"${pick(['a', 'b', 'id', '0', '1', '10', '01', '4294967294', '4294967295', '__proto__'])}"` : stringText());
const space = () => (below(6) ? '' : pick([' ', '\t', '  ']));

function valueText(depth) {
  const kind = below(depth > 4 ? 5 : 8);
  if (kind < 2) return numberText();
  if (kind < 4) return stringText();
  if (kind === 4) return pick(['true', 'false', 'null']);
  const n = below(below(20) ? 5 : 30);
  const parts = Array.from({ length: n }, () => kind === 5
    ? space() + valueText(depth + 1) + space()
    : `${space()}${keyText()}${space()}:${space()}${valueText(depth + 1)}${space()}`);
  return kind === 5 ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}

function spoil(text) {
  const at = below(text.length + 1);
  const extra = pick(['', '', ',', '}', '"', '0', '-', '.', 'e', '\\', '\u00a0', 'x']);
  return text.slice(0, at) + extra + text.slice(at + below(2));
}

function expected(text) {
  let json = 'reject';
  try {
    json = JSON.stringify(JSON.parse(text));
  } catch {
    // stays rejected
  }
  return [json, String(Number(text))];
}

test('parsing and encoding give what Node gives', () => {
  const texts = Array.from({ length: cases }, () => {
    const text = below(8) ? valueText(0) : numberText();
    return (below(4) ? text : spoil(text)).replaceAll('\n', ' ');
  }).filter((text) => text.isWellFormed?.() ?? true);
  const run = spawnSync(process.env.JSON_LINES, [], { input: texts.join('\n') + '\n', maxBuffer: 2 ** 30 });
  assert.equal(run.status, 0, String(run.stderr));
  const got = run.stdout.toString('utf8').split('\n');
  texts.forEach((text, i) => {
    assert.deepEqual([got[2 * i], got[2 * i + 1]], expected(text), `text ${i}: ${text}`);
  });
});
