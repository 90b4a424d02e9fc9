// Random calls of the pure functions: values, locators, formulas, filters, schemas, dates.
//
// What is left out on purpose, because we decided otherwise (docs/formulas.md): $copy below an
// array, null entries of $map and $case, "__proto__" keys, identity of empty containers, and the
// traces of $formula changing its argument in place (in $iterate and in what $lookup is given). Also
// patches of a property without any type, and removing required fields below odd keys, where the
// reference takes the key for a locator.

export function generator(seed) {
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
    let n = below(choices.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, make] of choices) if ((n -= weight) < 0) return make();
  };
  const UNDEFINED = { $$: 'undefined' };

  // ---- values ----

  const texts = ['', 'x', 'text', 'Hello World', '0', '1', '12abc', ' 5 ', 'true', 'null', 'undefined', 'NaN',
    '1e3', '-1', '0x10', 'Ünïcode', 'İstanbul', 'ΑΣ', 'ΑΣ ΣΑ', '😀', '\ud83d', 'a\u0000b', 'a.b', '{x}', '$&', '$$1',
    'ada@example.com', 'a@b@c', '@', 'Ada Lovelace', 'Dr. Ada King, PhD', '2024-02-29', '2024-01-05T10:20:30Z',
    'Feb 3, 2021', '1,2', '[object Object]', 'Infinity', '\u00a05\u2003', '.5', '5.', '1_000'];
  const numbers = [0, 1, 2, 5, -1, 1.5, 0.1, 100, 1e21, 1e-7, 2024, 1709634030, 1709634030000, 9007199254740993,
    { $$: '-0' }, { $$: 'NaN' }, { $$: 'Infinity' }, { $$: '-Infinity' }];
  const keys = ['a', 'b', 'c', 'id', 'name', 'list', 'user', 'x', 'y', 'z', 'a.b', 'br[0]', '', '0', '10', '2', 'длина',
    '$x', 'length', 'firstName', 'created_at'];
  const text = () => weighted([8, () => pick(texts)], [1, () => pick(texts) + pick(texts)],
    [1, () => String.fromCharCode(...list(4, () => pick([65, 97, 0xe9, 0x130, 0x3a3, 0x2028, 0xd83d, 0xde00, 32])))]);
  const scalar = () => weighted([5, text], [4, () => pick(numbers)], [2, () => below(20) - 5], [2, () => chance(0.5)],
    [2, () => null], [1, () => UNDEFINED], [0.3, () => ({ $$: 'date', ms: below(2 ** 31) * 1000 + below(1000) })]);
  const object = (max, make) => Object.fromEntries(list(max, () => [pick(keys), make()]));
  const value = (depth = 3) => depth <= 0 || chance(0.5) ? scalar()
    : weighted([1, () => list(4, () => value(depth - 1))], [1, () => object(4, () => value(depth - 1))]);
  const variables = () => ({
    a: value(2), b: object(4, () => value(2)), list: list(4, () => value(1)),
    objs: list(3, () => object(3, scalar)), s: text(), n: pick(numbers), user: { name: pick(texts), email: pick(texts), id: below(9) },
    ...(chance(0.3) ? object(2, () => value(2)) : {}),
  });

  // ---- locators ----

  const escape = (key) => key.replace(/[\\[\].]/g, '\\$&');
  const step = () => weighted([6, () => '.' + escape(pick(keys))], [3, () => `[${below(4)}]`],
    [0.5, () => '.' + pick(keys)], [0.2, () => pick(['[', ']', '..', '[]', '[1.5]', '[1e1]', '[-1]', '[ 1]', '[x]', '\\', '\\n', '[-0]'])]);
  const locator = () => weighted(
    [10, () => pick(['a', 'b', 'list', 'objs', 's', 'n', 'user', 'user.name', 'user.email', 'list[0]', 'objs[1].id', 'list.0', 'list.length'])],
    [6, () => pick(['', '$', '$.', 'a', 'b', 'list', 'objs', 'item', 'parent']) + Array.from({ length: 1 + below(3) }, step).join('')],
    [1, () => pick(['$', '', '.', '$$', 'missing', '$.missing', ' ', 'a b'])],
    [0.5, scalar]);

  // Writing to "length" of an array is for the recorded vectors: below it, the reference leaves odd traces.
  const writeLocator = () => {
    for (;;) {
      const l = locator();
      if (!String(l).includes('length')) return l;
    }
  };

  // ---- formulas ----

  const variable = () => ({ $var: locator() });
  const itemVariable = () => ({ $var: pick(['item', 'index', 'parent', 'item.id', 'item.a', 'parent.a', 'parent.user.name', 'parent.parent.n', 'item[0]']) });
  const comparisons = ['is', 'isNot', 'oneOf', 'noneOf', 'contains', 'doesNotContain', 'lt', 'lte', 'gt', 'gte', 'isNotEmpty', 'isEmpty', 'bogus'];
  const nonEmpty = (v) => (v && typeof v === 'object' && !v.$$ && Object.keys(v).length === 0 ? 1 : v);
  const dateText = () => weighted(
    [3, () => `${pick([1970, 1999, 2000, 2024, 99, 5])}-${pick(['1', '01', '02', '12', '13', '00'])}-${pick(['1', '05', '29', '30', '31', '32'])}`],
    [3, () => `2024-0${1 + below(9)}-1${below(10)}${pick(['T', 't', ' ', ''])}${pick(['10:20', '10:20:30', '10:20:30.5', '24:00', '24:01', '9:05', '23:59:60', '1:2:3', ''])}${pick(['', 'Z', 'z', '+02:00', '+0200', '-5', ' GMT', ' EST', ' PM', '+02', ' (x)'])}`],
    [3, () => list(5, () => pick(['Jan', 'february', 'Mon', 'Thu,', '5', '12', '31', '2024', '24', '99', '10:30', '3:04:05', 'AM', 'PM', 'GMT', 'UTC', '+0100', '-3', 'of', '(c)', 'PST', 'CET', '/', '-', '.', ',', 'T'])).join(pick([' ', ' ', '', '-', '/']))],
    [1, () => `${below(14)}/${below(33)}/${pick([24, 1999, 2024, 5])}`], [1, text]);
  const nameText = () => weighted([6, () => list(5, () => pick(['John', 'Mary', 'van', 'der', 'Berg', 'de', 'la', 'Mr.', 'Dr', 'Jr.', 'PhD', 'III', 'Smith', 'Smith,', ',', 'and', '"Mary Jane"', '"', "O'Neil", 'Ötvös,Ábel', 'a,b', 'St.', 'V', 'MD,', '""']))
    .join(pick([' ', ' ', '  ', ' , ', '\t']))], [1, text]);

  const formulas = (depth, inner) => {
    const sub = () => expression(depth - 1, inner);
    const many = () => (chance(0.85) ? list(4, sub) : sub());
    return weighted(
      [8, () => (inner && chance(0.6) ? itemVariable() : variable())],
      [4, () => ({ $eval: nonEmpty(sub()), [pick(comparisons)]: nonEmpty(chance(0.3) ? list(3, sub) : sub()), ...(chance(0.1) ? { is: 1 } : {}) })],
      [2, () => ({ $and: many() })], [2, () => ({ $or: many() })],
      [3, () => ({ $case: weighted([5, () => ({
        cases: list(3, () => ({ ...(chance(0.8) ? { filter: weighted([4, sub], [1, () => filter()]) } : {}), ...(chance(0.9) ? { value: sub() } : {}) })),
        ...(chance(0.6) ? { default: sub() } : {}) })],
        [1, () => list(3, () => ({ filter: sub(), value: sub() }))], [0.5, sub]) })],
      [3, () => ({ $map: chance(0.95) ? { value: nonEmpty(sub()), mapping: list(3, () => ({ from: nonEmpty(sub()), to: sub() })), ...(chance(0.5) ? { default: sub() } : {}) } : sub() })],
      [3, () => ({ $iterate: { source: weighted([3, () => variable()], [1, () => ({ $var: pick(['list', 'objs', 'a']) })], [1, () => list(3, sub)]), item: expression(depth - 1, true) } })],
      [4, () => ({ $concat: weighted([3, many], [3, () => ({ values: many(), ...(chance(0.7) ? { delimiter: sub() } : {}) })], [0.3, scalar]) })],
      [2, () => ({ $firstNotEmpty: many() })],
      [2, () => ({ $mergeObjects: weighted([3, many], [2, () => list(3, () => object(3, sub))]) })],
      [2, () => ({ $tpl: { template: weighted([5, () => list(5, () => pick(['{x}', '{y}', '{a}', ' ', 'text', '{', '}', '{{x}}'])).join('')], [0.5, sub]),
        values: Object.fromEntries(list(3, () => [pick(['x', 'y', 'a', 'zz']), sub()])) } })],
      [1, () => ({ $firstName: chance(0.6) ? nameText() : sub() })], [1, () => ({ $lastName: chance(0.6) ? nameText() : sub() })],
      [1, () => ({ $domainFromEmail: sub() })],
      [1, () => ({ $extractDate: chance(0.6) ? dateText() : sub() })], [1, () => ({ $extractTime: chance(0.6) ? dateText() : sub() })],
      [1, () => ({ $plain: sub() })], [0.7, () => ({ $record: chance(0.7) ? { id: scalar(), b: 1 } : scalar() })],
      [inner ? 0 : 0.7, () => ({ $formula: sub() })],
      [1, () => ({ $lookup: { query: object(2, sub) } })],
      [1, () => ({ [pick(['$findAppRecordId', '$findExternalRecordId'])]: chance(0.9) ? { dataLinkTable: { key: pick(['t', '', 'users']) }, recordId: sub() } : sub() })],
      [0.7, () => ({ $dataSchemaRef: { type: pick(['data-collection', 'internal-data-schema', 'other']), key: sub(), ...(chance(0.5) ? { parameters: object(2, sub) } : {}) } })],
      [0.7, () => ({ $jsonata: chance(0.9) ? pick(['a', 'user.name', '$count(list)', 'objs.id', 'list[0]', 'a +', '"x" & s', '{ "n": n, "m": user.id }',
        'objs[id=1].name', '$uppercase(s)', '1/0', '$missing()', '$join(list.$string())', 'b.*', '$keys(b)', 'n > 1 ? "big" : "small"', '$number(s)', '[1..3].($ * 2)']) : sub() })],
      [0.5, () => ({ [pick(['$unknown', '$', '$Var', 'var'])]: sub() })],
    );
  };
  const expression = (depth = 4, inner = false) => depth <= 0 ? scalar() : weighted(
    [6, () => formulas(depth, inner)], [2, scalar],
    [1, () => list(3, () => expression(depth - 1, inner))], [2, () => object(3, () => expression(depth - 1, inner))]);
  const mapping = () => Object.fromEntries(list(6, () => [pick(keys), expression(3)]));

  // ---- filters and schemas ----

  const filterOperators = ['is', 'is_not', 'is_one_of', 'is_not_one_of', 'is_true', 'is_false', 'contains', 'does_not_contain', 'array_includes',
    'array_does_not_include', 'less_than', 'less_than_or_equal', 'more_than', 'more_than_or_equal', 'is_not_empty', 'is_empty', 'nope'];
  const goodLocator = () => pick(['a', 'b', 'b.id', 'list', 'list[0]', 'objs', 'objs.id', 'objs.name', 'objs[0].a', 's', 'n', 'user.name', 'user.id', 'missing', 'user']);
  const filter = () => list(3, () => ({ field: goodLocator(), operator: pick(filterOperators), ...(chance(0.9) ? { value: chance(0.2) ? list(3, scalar) : scalar() } : {}) }));
  const schema = (depth = 3) => weighted(
    [4, () => ({ type: pick(['string', 'number', 'integer', 'boolean', 'null']), ...decoration() })],
    [depth > 0 ? 3 : 0, () => ({ type: 'object', ...(chance(0.9) ? { properties: object(4, () => schema(depth - 1)) } : {}), ...decoration(),
      ...(chance(0.2) ? { required: list(2, () => pick(keys)) } : {}) })],
    [depth > 0 ? 2 : 0, () => ({ type: 'array', ...(chance(0.8) ? { items: schema(depth - 1) } : {}), ...decoration() })],
    [depth > 0 ? 0.5 : 0, () => ({ anyOf: list(3, () => schema(depth - 1)) })],
    [0.5, () => ({ type: list(3, () => pick(['string', 'number', 'null', 'object'])) })], [0.5, () => ({})]);
  const decoration = () => ({ ...(chance(0.3) ? { title: pick(['', 'Title', 'The Name']) } : {}), ...(chance(0.1) ? { readOnly: chance(0.5) } : {}),
    ...(chance(0.1) ? { iconUri: 'i.png' } : {}), ...(chance(0.1) ? { default: scalar() } : {}), ...(chance(0.05) ? { enum: ['a', 'b'] } : {}) });

  // ---- calls ----

  const schemaLocator = () => chance(0.8) ? pick(keys.filter((k) => k && !/[.[]/.test(k))) + (chance(0.4) ? '.' + pick(['a', 'b', 'id']) : chance(0.2) ? '[0]' : '') : locator();
  const call = () => weighted(
    [30, () => ['buildValue', [expression(), variables()]]],
    [30, () => {
      const e = expression();
      const stubs = ['resolveImportDataLink', 'resolveExportDataLink', 'resolveLookup', 'getDataCollection', 'getInternalDataSchema'].filter((name) =>
        chance(0.6) && !(name === 'resolveLookup' && JSON.stringify(e).includes('$formula')));
      return ['resolveFormulas', [e, { variables: variables(), ...(chance(0.5) ? { schema: schema() } : {}), stubs }]];
    }],
    [10, () => ['buildValue', [mapping(), variables()]]],
    [4, () => ['buildData', [{ ...object(3, () => expression(2)), c: { $copy: pick(['a', 'b', 'c', 'x.y', 'id']) } }, variables()]]],
    [12, () => ['doesMatchFilter', [variables(), filter()]]],
    [4, () => ['getFilterFieldValuesByLocator', [variables(), chance(0.7) ? goodLocator() : locator()]]],
    [4, () => ['locatorToSteps', [locator()]]], [2, () => ['isValidLocator', [locator()]]], [2, () => ['locatorToField', [locator()]]],
    [2, () => ['extractFieldLocator', [locator()]]], [2, () => ['makeObjectPropertyLocator', [chance(0.5) ? 'a.b' : UNDEFINED, pick(keys)]]],
    [5, () => ['getValueAtLocator', [variables(), locator()]]], [5, () => ['getValueByLocator', [variables(), locator()]]],
    [8, () => ['setValueAtLocator', [value(3), writeLocator(), value(1)]]],
    [4, () => ['pickFieldsFromValue', [value(3), list(3, writeLocator)]]], [4, () => ['excludeFieldsFromValue', [value(3), list(3, writeLocator)]]],
    [2, () => ['createObjectFromLocators', [list(4, () => pick(['a', 'b', 'a.b', 'c[0]', 'c', 'a.b.c', 'ab']))]]],
    [3, () => ['getLocatorsFromData', [value(3)]]], [3, () => ['findValueLocators', [value(3), value(0)]]],
    [2, () => ['getFormulaLocators', [pick(['var', 'copy', 'eval']), expression(3)]]],
    [3, () => ['getVariableLocators', [expression(4)]]], [3, () => ['hasFormulas', [expression(2)]]], [2, () => ['isFormula', [expression(1)]]],
    [3, () => ['transformVariablesWith', [mapping(), pick(['$.scope.', 'x.', ''])]]],
    [4, () => ['transformVars', [safeExpression(3), object(4, () => pick([variable(), { $var: 'root' }, 'constant', object(2, variable)]))]]],
    [3, () => ['removeNonExistentVars', [safeExpression(3), { type: 'object', properties: { a: schema(1), user: { type: 'object', properties: { name: {}, id: {} } }, list: { type: 'array' } } }]]],
    [3, () => ['valueToString', [pick([variable(), { $concat: list(3, () => pick([variable(), 'x', 1, null])) }, { $lastName: variable() }, { $firstName: 1 }, value(2)]), schema()]]],
    [6, () => ['getSchemaFromValue', [safeExpression(3), chance(0.8) ? { type: 'object', properties: { a: schema(2), b: schema(2), list: schema(2), user: schema(2) } } : null]]],
    [6, () => ['mergeSchemas', [list(4, () => schema())]]], [4, () => ['valueToSchema', [value(3), schema(), { normalizeValues: chance(0.5), addDefaults: chance(0.5), skipUnknownFields: chance(0.3), skipReadOnlyFields: chance(0.3) }]]],
    [3, () => ['getSchemaByLocator', [schema(), schemaLocator()]]], [2, () => ['getNameForLocator', [schema(), schemaLocator()]]],
    [2, () => ['getFullNameForLocator', [schema(), schemaLocator()]]], [2, () => ['setSchemaAtLocator', [schemaObject(), schemaLocator(), schema(1)]]],
    [2, () => ['getLocatorsFromSchema', [schema()]]], [2, () => ['getMissingRequiredFields', [schema(), value(2)]]],
    [3, () => ['mergeWithFormulas', [expression(2), expression(2)]]],
    [12, () => [pick(['compressDataSchema', 'excludeReadOnlyFieldsFromSchema', 'excludeWriteOnlyFieldsFromSchema', 'generateExampleFromSchema',
      'getRequiredFieldsFromSchema', 'isSchemaEmpty', 'populateSchemaTitles', 'schemaAllowsCustomValue',
      'schemaHasFixedValues', 'schemaHasProperties', 'schemaIsNumber', 'schemaIsScalar', 'unwrapSchema', 'getOperatorsBySchema']), [schema()]]],
    [4, () => ['patchSchema', [objectSchema(), matching(objectSchema, (s) => !/"anyOf":\[]|"type":\[]/.test(s)), { readOnly: chance(0.3), writeOnly: chance(0.3) }]]],
    [3, () => [pick(['excludeFieldsFromSchema', 'pickFieldsFromSchema', 'addRequiredFieldsToSchema']), [objectSchema(), list(3, () => pick(['a', 'b', 'id', 'user.name', 'list', 'x.a']))]]],
    [1, () => ['removeRequiredFieldsFromSchema', [matching(objectSchema, (s) => !/\$x|br\[0]|a\.b|"":/.test(s))]]],
    [3, () => ['createSchema', [value(3)]]], [3, () => ['createCompoundSchema', [list(4, () => value(2))]]],
    [3, () => ['updateImpliedSchema', [{ schema: objectSchema(), value: value(2), variablesSchema: null }]]],
    [3, () => ['truncateData', [value(4)]]],
    [6, () => ['parseDate', [chance(0.9) ? dateText() : scalar()]]],
  );
  const objectSchema = () => ({ type: 'object', properties: object(4, () => schema(2)), ...(chance(0.3) ? { required: list(2, () => pick(keys)) } : {}) });
  const schemaObject = () => ({ type: 'object', properties: object(3, () => ({ type: 'object', properties: { a: { type: 'string' } } })) });
  const matching = (make, accepts) => {
    for (;;) {
      const v = make();
      if (accepts(JSON.stringify(v))) return v;
    }
  };
  // Without the operators that throw on odd arguments when they are looked at.
  const safeExpression = (depth) => matching(() => expression(depth), (s) => !/\$case|\$concat|\$formula|\$lookup/.test(s));

  let id = 0;
  return { call: () => { const [fn, args] = call(); return { id: `random-${id++}`, fn, args }; }, variables, value, pick, below, chance, text };
}
