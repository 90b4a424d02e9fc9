// Writes src/value/unicode_case.def: what String.prototype.toUpperCase and toLowerCase do to
// single code points, as this Node's Unicode data has it.
//   node scripts/make-unicode-case.mjs > src/value/unicode_case.def
const lines = [];

function simple(map, macro) {
  // Runs of code points with one distance and one step (1 or 2).
  let run = null;
  const flush = () => run && lines.push(`${macro}(0x${run.from.toString(16)}, 0x${run.to.toString(16)}, ${run.step}, ${run.delta})`);
  for (const [from, to] of map) {
    const delta = to - from;
    if (run && run.delta === delta && from - run.to <= 2 && (run.from === run.to || from - run.to === run.step)) {
      run.step = from - run.to;
      run.to = from;
    } else {
      flush();
      run = { from, to: from, step: 1, delta };
    }
  }
  flush();
}

for (const [name, method] of [['UPPER', 'toUpperCase'], ['LOWER', 'toLowerCase']]) {
  const one = [];
  const many = [];
  for (let cp = 0x80; cp <= 0x10ffff; cp++) {
    if (cp >= 0xd800 && cp <= 0xdfff) continue;
    const text = String.fromCodePoint(cp);
    const other = text[method]();
    if (other === text) continue;
    const points = [...other];
    if (points.length === 1) one.push([cp, other.codePointAt(0)]);
    else many.push([cp, Buffer.from(other)]);
  }
  simple(one, name);
  for (const [cp, bytes] of many)
    lines.push(`${name}_MANY(0x${cp.toString(16)}, "${[...bytes].map((b) => `\\x${b.toString(16)}`).join('')}")`);
}
console.log(`/*
 * unicode_case.def - made by scripts/make-unicode-case.mjs from Node ${process.version} (Unicode ${process.versions.unicode}).
 *
 * UPPER(first, last, step, distance)   UPPER_MANY(code point, text)   likewise LOWER
 */
${lines.join('\n')}
#undef UPPER
#undef UPPER_MANY
#undef LOWER
#undef LOWER_MANY`);
