// Random JSONata expressions and data. Every draw comes from one seeded sequence.

export function generator(seed) {
  let state = BigInt(seed);
  const random = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 33n) / 2 ** 31;
  };
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const chance = (p) => random() < p;
  const list = (n, make) => Array.from({ length: n }, make);

  // ---- data ----
  const names = ['a', 'b', 'c', 'id', 'name', 'items', 'price', 'tags', '1', 'x y'];
  const texts = ['', 'a', 'abc', 'Hello World', 'x-1', '12', '-3.5', '1e3', 'ÄÖß', '漢字', '😀b', 'a,b,c', ' pad  me ', 'true', '2018-03-27T12:00:00.000Z', 'ΣΑΣ'];
  const numbers = () => pick([0, 1, -1, 2, 3, 10, 0.5, -2.5, 34.45, 1e21, 123456.789, 1e-7, 0.1 + 0.2, 1234567890123, below(1000), below(100000) / 100]);

  function data(depth = 0) {
    const kind = below(depth > 3 ? 5 : 9);
    if (kind < 2) return numbers();
    if (kind < 4) return pick(texts);
    if (kind === 4) return pick([true, false, null]);
    if (kind < 7) return Object.fromEntries(list(below(5), () => [pick(names), data(depth + 1)]));
    return list(below(4), () => data(depth + 1));
  }

  // ---- expressions ----
  const string = () => JSON.stringify(pick(texts));
  const literal = () => pick([() => String(numbers()), string, () => pick(['true', 'false', 'null'])])();
  const name = () => { const n = pick(names); return /^[a-z]+$/.test(n) ? n : `\`${n}\``; };
  const variable = () => pick(['$', '$$', '$x', '$y', '$f', '$undefined']);
  const regex = () => pick(['/a/', '/[a-z]+/', '/(a)(b)?/i', '/\\d+/', '/\\s+/', '/l+/', '/^h/im', '/(\\w)(\\w*)/', '/[^a-c]/', '/o|W/', '/.$/', '/\\bw/i', '/(?:a|b)+?c/', '/x*/', '/[äö]/i', '/./']);
  const integerPicture = () => pick(['0', '00', '#,##0', '#,###,##0', '1', '001', 'w', 'W', 'Ww', 'i', 'I', 'a', 'A', '1;o', 'w;o', 'Ww;o', '#', '0.000', '1,00;o', '٠', 'α']);
  const numberPicture = () => pick(['0', '#,##0.00', '0.0', '#.##', '00.00', '#,###', '0%', '0.0‰', '#0.00;(0.00)', '000', '##', '0,0.0', '#,#,0', '', 'x0y', '0..0', '#,##,##0.00', '0.00#,#']);
  const datePicture = () => pick(['[Y]-[M01]-[D01]', '[D1o] [MNn] [Y]', '[FNn], [D] [MNn,3-3] [Y]', '[H01]:[m01]:[s01].[f001][Z]', '[h]:[m] [P]', '[W]/[X]', '[w] [x]', '[Y,2]', '[YI] [Mi] [Da]', '[d]', '[[[Y]]]', '[MN]', '[Fn,3-3]', '[Z01:01t]', '[z]', '[Dwo] of [MNn]', '[E] [C]', '[Y9,999]', '[q]', '[Y', '[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01]']);
  const replacement = () => pick(['"$1"', '"[$0]"', '"$$"', '"x"', '"$2$1"', '"$"', '"$15"', '"$-1"']);
  const zone = () => pick(['"+0100"', '"-0530"', '"0000"', '"+1245"', '"x"']);

  const lambda = (depth) => pick([
    () => `function($v){${expression(depth + 1)}}`,
    () => `function($v,$i){${expression(depth + 1)}}`,
    () => `function($v,$i,$a){$v}`,
    () => `function($l,$r){$l ${pick(['>', '<', '='])} $r}`,
    () => `function($l,$r){$l & $r}`,
    () => `λ($v){$v}`,
    () => `function($v)<${pick(['n', 's', 'x', 'n-', 'a', 'o', 'j?', '(ns)'])}:x>{$v}`,
    () => pick(['$string', '$uppercase', '$not', '$count', '$exists', '$number', '$sum', '$keys', '$append(?, 1)', 'function($v, $w){[$w, $v]}(?, 1)']),
  ])();

  const calls = {
    sum: 1, count: 1, max: 1, min: 1, average: 1, string: 1, length: 1, lowercase: 1, uppercase: 1, trim: 1, number: 1,
    floor: 1, ceil: 1, abs: 1, sqrt: 1, boolean: 1, not: 1, keys: 1, exists: 1, spread: 1, merge: 1, reverse: 1, type: 1,
    distinct: 1, base64encode: 1, encodeUrlComponent: 1, encodeUrl: 1, sort: 1, round: 1, clone: 1,
    substringBefore: 2, substringAfter: 2, contains: 2, lookup: 2, append: 2, power: 2, zip: 2, join: 2, split: 2, formatBase: 2, pad: 2,
  };

  function call(depth) {
    const arg = () => expression(depth + 1);
    switch (below(20)) {
      case 0: return `$map(${arg()}, ${lambda(depth)})`;
      case 1: return `$filter(${arg()}, ${lambda(depth)})`;
      case 2: return `$reduce(${arg()}, ${lambda(depth)}${chance(0.5) ? `, ${arg()}` : ''})`;
      case 3: return `$sort(${arg()}${chance(0.6) ? `, function($l,$r){$l > $r}` : ''})`;
      case 4: return `$${pick(['each', 'sift'])}(${arg()}, ${lambda(depth)})`;
      case 5: return `$substring(${string()}, ${below(7) - 3}${chance(0.5) ? `, ${below(6) - 1}` : ''})`;
      case 6: return `$pad(${string()}, ${below(20) - 10}${chance(0.5) ? `, ${pick(['"-"', '"ab"', '""', '"😀"'])}` : ''})`;
      case 7: return `$match(${string()}, ${regex()}${chance(0.3) ? `, ${below(4)}` : ''})`;
      case 8: return `$replace(${string()}, ${chance(0.6) ? `${regex()}, ${chance(0.2) ? 'function($m){$m.match & "!"}' : replacement()}` : `${string()}, ${replacement()}`}${chance(0.3) ? `, ${below(4)}` : ''})`;
      case 9: return `$split(${string()}, ${chance(0.5) ? regex() : pick(['","', '""', '" "', '"b"'])}${chance(0.3) ? `, ${below(4)}` : ''})`;
      case 10: return `$formatInteger(${pick([0, 1, 7, 12, 19, 21, 99, 100, 101, 1234, 3999, 1234567, -45])}, ${JSON.stringify(integerPicture())})`;
      case 11: return `$formatNumber(${numbers()}, ${JSON.stringify(numberPicture())}${chance(0.2) ? `, {${pick(['"decimal-separator":","', '"grouping-separator":"."', '"zero-digit":"٠"', '"minus-sign":"~"'])}}` : ''})`;
      case 12: return `$fromMillis(${pick([0, 1521801216617, 1e12, -1e12, 86400000 * below(30000), 1704067199999, 1e15])}${chance(0.9) ? `, ${JSON.stringify(datePicture())}` : ''}${chance(0.3) ? `, ${zone()}` : ''})`;
      case 13: return `$toMillis(${pick(['"2018-03-27"', '"2018-03-27T13:14:15Z"', '"13:45"', '"27 March 2018"', '"2018"', '"1st January 2020"', '"12:30 pm"', '"2018-02-30T10:00:00.5+0530"', '"x"', '"2018-13-01"', '"0050-01-01"'])}${chance(0.5) ? `, ${JSON.stringify(pick(['[Y]-[M]-[D]', '[H]:[m]', '[D] [MNn] [Y]', '[D1o] [MNn] [Y0001]', '[h]:[m] [P]', '[Y0001]-[M01]-[D01]', '[Y]']))}` : ''})`;
      case 14: return `$parseInteger(${JSON.stringify(pick(['12', '1,234', 'twelve', 'one hundred and five', 'XIV', 'xiv', 'c', 'AB', '21st', 'x', '']))}, ${JSON.stringify(integerPicture())})`;
      case 15: return `$eval(${JSON.stringify(expression(4))})`;
      case 16: return `$single(${arg()}, ${lambda(depth)})`;
      default: {
        const fn = pick(Object.keys(calls));
        return `$${fn}(${list(chance(0.1) ? below(4) : calls[fn], arg).join(', ')})`;
      }
    }
  }

  const operator = () => pick(['+', '-', '*', '/', '%', '&', '=', '!=', '<', '<=', '>', '>=', 'and', 'or', 'in']);

  function step(depth) {
    switch (below(12)) {
      case 0: return '*';
      case 1: return chance(0.4) ? '**' : name();
      case 2: return `(${expression(depth + 1)})`;
      case 3: return `{${pairs(depth + 1)}}`;
      case 4: return chance(0.4) ? `[${expression(depth + 1)}]` : name();
      case 5: return chance(0.3) ? '%' : name();
      case 6: return chance(0.4) ? '$' : name();
      default: return name();
    }
  }

  function decorated(depth) {
    let text = step(depth);
    if (chance(0.06)) text += `@$${pick(['x', 'y'])}`;
    if (chance(0.06)) text += `#$${pick(['x', 'y'])}`;
    if (chance(0.2)) text += pick([() => `[${below(4) - 2}]`, () => '[]', () => `[${expression(depth + 1)}]`, () => `[${name()} = ${literal()}]`])();
    return text;
  }

  function path(depth) {
    let text = chance(0.15) ? variable() : decorated(depth);
    for (let n = below(4); n > 0; n--) text += `.${decorated(depth)}`;
    if (chance(0.08)) text += `^(${chance(0.3) ? pick(['>', '<']) : ''}${expression(depth + 1)})`;
    if (chance(0.06)) text += `{${pairs(depth + 1)}}`;
    return text;
  }

  const pairs = (depth) => list(below(3), () => `${chance(0.5) ? string() : `$string(${expression(depth + 1)})`}: ${expression(depth + 1)}`).join(', ');

  function expression(depth = 0) {
    if (depth > 4) return chance(0.5) ? literal() : name();
    switch (below(16)) {
      case 0: return literal();
      case 1: case 2: return path(depth);
      case 3: return name();
      case 4: return `${expression(depth + 1)} ${operator()} ${expression(depth + 1)}`;
      case 5: return `(${expression(depth + 1)} ${operator()} ${expression(depth + 1)})`;
      case 6: return `[${list(below(4), () => expression(depth + 1)).join(', ')}]`;
      case 7: return chance(0.5) ? `[${below(4)}..${below(6)}]` : `{${pairs(depth)}}`;
      case 8: return `(${chance(0.7) ? `$${pick(['x', 'y', 'f'])} := ${chance(0.3) ? lambda(depth) : expression(depth + 1)}; ` : ''}${expression(depth + 1)})`;
      case 9: return `${chance(0.5) ? expression(depth + 1) : path(depth)} ? ${expression(depth + 1)}${chance(0.8) ? ` : ${expression(depth + 1)}` : ''}`;
      case 10: return variable();
      case 11: return chance(0.6) ? `${expression(depth + 1)} ~> ${chance(0.5) ? `$${pick(['string', 'count', 'sum', 'uppercase', 'keys', 'reverse'])}` : lambda(depth)}` : `-${expression(depth + 1)}`;
      case 12: return chance(0.5) ? `${lambda(depth)}(${expression(depth + 1)})` : `$$ ~> |${name()}.${path(3)}|{${pairs(depth + 2)}}${chance(0.4) ? `, ${string()}` : ''}|`;
      default: return call(depth);
    }
  }

  return { expression, data, below, pick, chance };
}
