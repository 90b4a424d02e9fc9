// Random calls of the pure functions over schemas, filters, forms, data locations, flow graphs and
// workspace exports.
//
// Left out on purpose, because we decided otherwise: keys that JavaScript objects inherit, schemas
// whose keywords hold another kind of value than the keyword allows (the SDK throws), patches of another
// type (it throws, too), null nodes of a
// flow, "/" before "&" and "#" in operation paths, and empty containers compared by identity.
import { randomness } from '../formula/random_calls.mjs';

export function schemaCalls(seed) {
  const { below, chance, pick, list, weighted } = randomness(seed);
  const UNDEFINED = { $$: 'undefined' };
  const maybe = (p, key, make) => (chance(p) ? { [key]: make() } : {});
  const object = (max, makeKey, make) => Object.fromEntries(list(max, () => [makeKey(), make()]));

  // ---- values ----

  const texts = ['', 'x', 'text', 'Hello World', '0', '1', ' 5 ', '12abc', 'true', 'false', 'null', '1e3', 'ünï', '😀', 'a.b', 'abc'];
  const numbers = [0, 1, 2, 5, -1, 1.5, 0.1, 1e21, 1e-7, { $$: '-0' }, { $$: 'NaN' }, { $$: 'Infinity' }];
  const keys = ['a', 'b', 'c', 'id', 'name', 'firstName', 'created_at', 'user', 'list', '0', '10', 'é'];
  const oddKeys = ['a.b', 'x[0]', '', 'a\\b', '[', 'a]b'];
  const key = () => pick(keys);
  const anyKey = () => (chance(0.9) ? pick(keys) : pick(oddKeys));
  const scalar = () => weighted([5, () => pick(texts)], [4, () => pick(numbers)], [2, () => chance(0.5)], [2, () => null],
    [0.5, () => UNDEFINED], [0.3, () => ({ $$: 'date', ms: below(2 ** 31) * 1000 })]);
  const value = (depth = 3) => depth <= 0 || chance(0.4) ? scalar()
    : weighted([2, () => list(4, () => value(depth - 1))], [3, () => object(4, key, () => value(depth - 1))]);

  // ---- schemas ----

  const flags = () => ({
    ...maybe(0.25, 'title', () => pick(['', 'Title', 'The Name', null])), ...maybe(0.2, 'readOnly', () => chance(0.7)),
    ...maybe(0.15, 'writeOnly', () => chance(0.7)), ...maybe(0.15, 'default', () => value(1)), ...maybe(0.08, 'enum', () => list(2, () => pick(texts))),
    ...maybe(0.1, 'description', () => pick(['short', 'x'.repeat(50), 'y'.repeat(51), 'zé😀'.repeat(120)])), ...maybe(0.05, 'isImplied', () => true),
    ...maybe(0.05, 'allowCustom', () => chance(0.5)), ...maybe(0.04, 'referenceRecords', () => []), ...maybe(0.04, 'format', () => 'date'),
  });
  const types = ['string', 'number', 'integer', 'boolean', 'null'];
  const leaf = () => ({ type: pick(types), ...flags() });
  const objectSchema = (depth, name = key) => ({
    type: 'object', ...maybe(0.92, 'properties', () => object(4, name, () => schema(depth - 1, name))),
    ...maybe(0.3, 'required', () => list(3, name)), ...maybe(0.15, 'additionalProperties', () => chance(0.5)), ...flags() });
  const schema = (depth = 3, name = key) => depth <= 0 ? leaf() : weighted(
    [5, leaf], [5, () => objectSchema(depth, name)], [3, () => ({ type: 'array', ...maybe(0.85, 'items', () => schema(depth - 1, name)), ...flags() })],
    [1, () => ({ anyOf: list(3, () => schema(depth - 1, name)), ...flags() })], [0.7, () => ({ type: list(3, () => pick([...types, 'object', 'file'])), ...flags() })],
    [0.7, () => ({ ...flags() })], [0.2, () => ({ type: 'file' })]);
  const root = (name = key) => (chance(0.75) ? objectSchema(3, name) : chance(0.95) ? schema(3, name) : pick([null, UNDEFINED]));
  const knownTypes = () => {
    for (;;) {
      const patch = objectSchema(3);
      if (!/"(anyOf|type)":\[|file/.test(JSON.stringify(patch))) return patch;
    }
  };
  // The SDK changes the schema of a variable in place, which shows when it is used twice.
  const oncePerVariable = () => {
    for (;;) {
      const v = withFormulas(3);
      const used = JSON.stringify(v)?.match(/"\$var":"\w+/g) ?? [];
      if (new Set(used).size === used.length) return v;
    }
  };
  const fieldLocator = () => pick(['', '$.']) + Array.from({ length: 1 + below(3) }, () => key()).join('.') + (chance(0.1) ? '[0]' : '');
  const fields = () => (chance(0.93) ? list(4, fieldLocator) : pick([null, UNDEFINED, 'a', ['a[x]'], ['']]));
  const compound = () => ({ type: 'collection', fieldsSchema: root(),
    ...maybe(0.8, 'create', () => ({ ...maybe(0.5, 'fields', fields), ...maybe(0.4, 'excludedFields', () => list(3, fieldLocator)) })),
    ...maybe(0.8, 'update', () => ({ ...maybe(0.5, 'fields', fields), ...maybe(0.4, 'excludedFields', () => list(3, fieldLocator)) })) });
  const fitOptions = () => ({ ...maybe(0.5, 'addDefaults', () => true), ...maybe(0.5, 'normalizeValues', () => true), ...maybe(0.4, 'skipUnknownFields', () => true),
    ...maybe(0.4, 'skipReadOnlyFields', () => true), ...maybe(0.3, 'valueHasFormulas', () => true) });
  const formula = () => pick([{ $var: 'a' }, { $var: 'user.name' }, { $concat: ['x', { $var: 'b' }] }, { $eval: { $var: 'a' }, is: 1 }, { $unknown: 1 }, { $plain: { b: 1 } },
    { $firstNotEmpty: [{ $var: 'list' }] }, { $iterate: { source: { $var: 'list' }, item: { x: { $var: 'item' } } } }]);
  const withFormulas = (depth = 2) => depth <= 0 || chance(0.3) ? (chance(0.6) ? formula() : scalar())
    : weighted([1, () => list(3, () => withFormulas(depth - 1))], [3, () => object(4, key, () => withFormulas(depth - 1))]);

  // ---- filters, locations, forms ----

  const operators = ['is', 'is_not', 'is_one_of', 'is_not_one_of', 'is_true', 'is_false', 'contains', 'does_not_contain', 'array_includes',
    'array_does_not_include', 'less_than', 'less_than_or_equal', 'more_than', 'more_than_or_equal', 'is_not_empty', 'is_empty', 'nope'];
  const dataField = () => weighted([8, fieldLocator], [2, () => `${key()}[${below(3)}].${key()}`], [1, () => `${key()}.length`], [1, () => `${key()}.0`], [0.2, () => pick(['a[', '', null, 5])]);
  const filter = () => (chance(0.97) ? list(3, () => ({ field: dataField(), operator: pick(operators), ...maybe(0.9, 'value', () => (chance(0.3) ? list(3, scalar) : scalar())) })) : pick([null, UNDEFINED, {}]));
  const record = () => object(6, key, () => value(2));
  const textParameters = ['x y', 'é+', '&=?', '~*-._', '%41', '\ud83d', '', '😀/'];
  const parameters = () => object(3, () => pick(['a', 'b', 'x y', 'ü']), () => weighted([4, () => pick(textParameters)], [3, () => pick(numbers)], [1, () => pick([null, UNDEFINED, true, [1, [2]], { k: 1 }])]));
  const pointer = () => ({ key: pick(['users', 'a/b', '', 'k é', 5]), ...maybe(0.8, 'parameters', parameters) });
  const path = () => pick(['/', '', '//', ' ']) + pick(['data/', 'data', 'dat/']) + pick(['users', 'a/b', '']) +
    (chance(0.7) ? '?' + list(3, () => pick(['a=1', 'b', 'a=%C3%A9', 'x+y=z+', '=v', 'a=%zz', '%ff=%e2%82', 'c=1?d=2', 'é=😀'])).join('&') : '');
  const reference = () => ({ ...maybe(0.3, 'referenceCollection', pointer), ...maybe(0.4, 'referenceCollectionPath', path), ...maybe(0.4, 'referenceCollectionUri', path) });
  const operationPath = () => pick(['/data/users', 'data/u/', 'http://h/data/u', 'http:/h/u', '', '/']) + pick(['', '?a=1', '?a=1&b=%20', '?']);
  const form = () => ({ schema: schema(3, anyKey), ...maybe(0.9, 'value', () => (chance(0.9) ? record() : scalar())), ...maybe(0.7, 'variablesSchema', () => root()) });
  const field = () => ({ locator: chance(0.8) ? fieldLocator() : pick([null, '', '$']), schema: { ...maybe(0.6, 'default', () => pick([{ $var: 'a' }, 5, 'x', null, { a: 1 }])) }, value: pick([{ $var: 'a' }, { $var: 'b' }, 5, 'x', null, { a: 1 }]) });

  // ---- flows and workspaces ----

  const nodeKeys = ['a', 'b', 'c', 'd', 'e', 'f', '1'];
  const nodeType = () => pick(['for-each-v2', 'for-each', 'run-action', 'api-trigger', 'unknown', undefined]);
  const flow = (rings = chance(0.4)) => ({ nodes: Object.fromEntries(nodeKeys.slice(0, below(8)).map((k, i) => {
    const target = () => pick(rings ? [...nodeKeys, 'none', ''] : [...nodeKeys.slice(i + 1), 'none']);
    const type = nodeType();
    return [k, { ...(type ? { type } : {}), ...maybe(0.5, 'name', () => pick(['', 'N'])), ...maybe(0.8, 'links', () => list(3, () => ({ ...maybe(0.95, 'key', target) }))),
      ...maybe(0.6, 'config', () => ({ ...maybe(0.7, 'rootNodeKey', target) })), ...maybe(0.5, 'outputSchema', () => schema(1)) }];
  })) });
  const yamlTexts = ['no', 'Yes', 'y', '1', '-1', '1.5', '.5', '1e5', '1.e5', '0x1F', '0o17', '0b1', '012', '1_000', '1:20', '+1:20.5', '.inf', '-.INF', '.nan', '+.nan', '~', 'null', 'TRUE', '<<',
    '2024-01-01', '2024-1-1', '2024-01-01 10:20:30', '2024-01-01T10:20:30.5Z', '2024-01-01t1:20:30 +2:30', '2024-01-01T10:20', 'a: b', 'a:b', 'a:', ':a', 'a #b', 'a#b', '#a', '- a', '-a', '? a', '[a', 'a]', '{a}', 'a, b', '&a', '*a', '!a',
    '|', '>', '=', '@a', '`a', '%a', '"a"', "it's", "'", ' a', 'a ', '\ta', 'a\tb', 'a\nb', 'a\n', '\na', '\n', 'a\n\n', ' a\nb', 'a\n  b\nc', '\n\n a', 'é', '\u00a0', '\u0085', '\u2028', '\ufeff', '😀', '\u0007', '\ud83d', 'a\rb', 'a\u3000', ''];
  const words = () => Array.from({ length: below(40) }, () => pick(['word', 'longer-word', 'x', '', 'a'.repeat(30), 'ü'.repeat(10)])).join(' ');
  const yamlText = () => weighted([6, () => pick(yamlTexts)], [2, words], [1, () => list(4, words).join(pick(['\n', '\n\n', '\n  ']))], [1, () => pick(yamlTexts) + pick(yamlTexts)], [0.5, () => 'w'.repeat(60 + below(60))]);
  const yamlValue = (depth = 3) => depth <= 0 || chance(0.35)
    ? weighted([6, yamlText], [2, () => pick([0, 1, -1.5, 1e21, 5e-7, 1.5e-10, { $$: '-0' }, { $$: 'NaN' }, { $$: '-Infinity' }, 1e-7, 123456789012])], [1, () => pick([true, false, null])])
    : weighted([2, () => list(3, () => yamlValue(depth - 1))], [3, () => object(3, () => (chance(0.7) ? key() : yamlText()), () => yamlValue(depth - 1))]);
  const element = () => ({ uuid: pick(['u1', 'u2', 'u3', 'u4']), key: pick(['k1', 'k2', 'k3']), ...maybe(0.4, 'integrationUuid', () => pick(['i1', 'i2', 'ix'])),
    ...maybe(0.2, 'integrationId', () => pick(['n1', 'i1'])), ...maybe(0.7, 'config', () => yamlValue(3)), ...maybe(0.3, 'name', () => yamlText()) });
  const mutate = (v) => {
    if (Array.isArray(v)) return v.filter(() => chance(0.95)).map(mutate);
    if (v && typeof v === 'object' && !v.$$) return Object.fromEntries(Object.entries(v).filter(() => chance(0.95)).map(([k, item]) => [k, mutate(item)]));
    return chance(0.1) ? yamlText() : v;
  };
  const integrations = () => list(2, () => ({ uuid: pick(['i1', 'i2', undefined]) ?? UNDEFINED, id: 'n1', key: pick(['hub', 'crm', '']) }));
  const workspace = () => ({ ...maybe(0.7, 'integration', integrations), ...maybe(0.9, 'action', () => list(3, element)), ...maybe(0.5, 'flow', () => list(2, element)), ...maybe(0.2, 'screen', () => list(2, element)) });
  const exportsPair = () => {
    const base = workspace();
    return [base, chance(0.8) ? { ...mutate(base), ...(chance(0.3) ? workspace() : {}) } : workspace()];
  };
  const elementTypes = ['action', 'flow', 'integration', 'app', 'screen', 'package', 'data-source', 'nope', 'field-mapping', 'connector'];
  const elementPath = () => pick(['', 'integrations/hub/', 'integrations//', 'x/']) + pick(['actions', 'flows', 'screens', 'external-apps', 'packages', 'nope', 'data-sources']) + pick(['/', '\\', '//']) + pick(['k', 'a.b', '', 'k/x']) + pick(['/spec.yaml', '\\spec.yaml', '/spec.yml', '/spec.yaml\n', '']);
  const models = ['contacts', 'users', 'leads', 'companies', 'employees', 'tasks', 'meetings', 'job-candidates', 'deals', 'nope', ''];
  const udmFields = () => object(4, () => pick(['firstName', 'lastName', 'fullName', 'primaryEmail', 'emails', 'phones', 'primaryPhone', 'primaryAddress', 'addresses', 'homeAddress', 'startTime', 'endTime', 'ownerId', 'assigneeId']),
    () => pick([{ $var: 'x' }, { $var: 'a.b' }, 'constant', null, [{ value: { $var: 'm' } }], { street: { $var: 's' }, city: 'c' }, { full: 'f' }, [{ $var: 'q' }], { $concat: ['a', { $var: 'z' }] }]));

  // ---- calls ----

  const variables = () => ({ type: 'object', properties: object(4, key, () => schema(2)) });
  const calls = [
    [4, () => ['createSchema', [value(4)]]], [4, () => ['createCompoundSchema', [list(4, () => value(3))]]],
    [2, () => ['schemaTypeFromValue', [value(1)]]], [8, () => ['mergeSchemas', [list(4, () => root())]]],
    [6, () => ['patchSchema', [objectSchema(3), knownTypes(), chance(0.8) ? { ...maybe(0.3, 'writeOnly', () => true) } : UNDEFINED]]],
    [2, () => ['unwrapSchema', [root()]]], [2, () => ['unwrapSchemas', [list(3, () => root())]]], [2, () => ['wrapAnyOfSchema', [{ anyOf: list(4, () => schema(1)) }]]],
    [3, () => ['isSchemaEmpty', [root()]]], [1, () => ['schemaIsScalar', [root()]]], [1, () => ['schemaIsNumber', [root()]]], [1, () => ['schemaHasFixedValues', [root()]]],
    [1, () => ['schemaAllowsCustomValue', [schema()]]], [1, () => ['schemaHasProperties', [root()]]], [1, () => ['schemaWithTitle', [root(), pick(['T', '', UNDEFINED])]]],
    [1, () => ['nonEmptyObjectProperties', [object(4, key, () => pick([null, UNDEFINED, {}, { type: 'string' }]))]]],
    [3, () => ['generateExampleFromSchema', [root()]]], [3, () => ['compressDataSchema', [root()]]], [4, () => ['populateSchemaTitles', [root(anyKey)]]],
    [4, () => ['pickFieldsFromSchema', [root(), fields()]]], [4, () => ['excludeFieldsFromSchema', [root(), fields()]]],
    [3, () => ['excludeReadOnlyFieldsFromSchema', [root()]]], [3, () => ['excludeWriteOnlyFieldsFromSchema', [root()]]],
    [3, () => ['getDataCollectionCreateFields', [compound()]]], [2, () => ['getDataCollectionUpdateFields', [compound()]]], [2, () => ['getWritableFieldsSchema', [compound()]]],
    [3, () => ['getRequiredFieldsFromSchema', [root(anyKey)]]], [4, () => ['addRequiredFieldsToSchema', [root(), fields()]]],
    [3, () => ['removeRequiredFieldsFromSchema', [root()]]], [5, () => ['getMissingRequiredFields', [root(anyKey), chance(0.9) ? record() : scalar()]]],
    [10, () => ['valueToSchema', [chance(0.3) ? withFormulas() : value(3), root(), fitOptions()]]],
    [6, () => ['updateImpliedSchema', [{ schema: root(), value: oncePerVariable(), variablesSchema: variables() }]]],
    [2, () => ['walkSchema.visit', [root(anyKey)]]], [2, () => ['walkSchema.dropReadOnly', [root(anyKey)]]],
    [2, () => ['makeDataRecordSchema', [{ ...maybe(0.6, 'fieldsSchema', root), ...maybe(0.3, 'rawFieldsSchema', root) }]]],
    [2, () => ['truncateData', [chance(0.9) ? value(4) : pick([list(600, () => 1), 'é'.repeat(501), object(2000, () => `k${below(9999)}`, () => 1)]), below(18)]]],
    [14, () => ['doesMatchFilter', [record(), filter()]]], [5, () => ['getFilterFieldValuesByLocator', [record(), dataField()]]],
    [3, () => ['backwardCompatibleFilterMatch', [chance(0.6) ? filter() : withFormulas(), record()]]], [2, () => ['getOperatorsBySchema', [root()]]],
    [4, () => ['makeDataLocationPath', [chance(0.9) ? pointer() : pick(['/data/x?y', 'x', null])]]], [4, () => ['parseDataLocationPath', [chance(0.95) ? path() : null]]],
    [3, () => ['isSameDataLocation', [pointer(), pointer()]]], [3, () => ['dataLocationParametersMatch', [{ locationParameters: parameters(), targetParameters: parameters() }]]],
    [3, () => ['makeDataLocationOperationPath', [operationPath(), pick(['list', 'find-by-id', '/x', '', 'a/b'])]]],
    [1, () => ['getDataLocationMethodPath', [pick(['k', 'a/b']), pick(['findById', 'list', 'HTMLParser', 'a_b c'])]]],
    [2, () => ['getReferenceCollectionPointerForSchema', [reference()]]], [2, () => ['getReferenceCollectionPathForSchema', [reference()]]],
    [4, () => ['DataForm.getFields', [form()]]], [4, () => ['DataForm.getFieldValueOptions', [form(), field()]]], [3, () => ['DataForm.setFieldValue', [form(), field(), value(1)]]],
    [5, () => ['mergeWithFormulas', [withFormulas(3), withFormulas(3)]]], [4, () => ['addUdmFallbackFields', [chance(0.95) ? udmFields() : pick([null, UNDEFINED]), pick(models)]]],
    [5, () => ['hasCycles', [flow().nodes]]], [2, () => ['getRootNodeKeys', [flow()]]], [2, () => ['getChildNodeKeys', [flow(), pick(nodeKeys)]]],
    [2, () => ['getDownstreamNodeKeys', [flow(), pick(nodeKeys)]]], [2, () => ['getParentNodeKeys', [flow(), pick(nodeKeys)]]],
    [3, () => ['getUpstreamNodeKeys', [flow(false), pick(nodeKeys)]]], [3, () => ['getNodeInputSchema', [flow(false), pick(nodeKeys)]]],
    [1, () => ['getFlowNodeRunTimeVariablesSchema', [{ parametersSchema: root(), inputSchema: root(), userSchema: root() }]]],
    [12, () => ['compareWorkspaceExports', [...exportsPair(), { ...maybe(0.8, 'includeDiff', () => true), ...maybe(0.5, 'includeDeletions', () => chance(0.5)) }]]],
    [1, () => ['getMembraneElementPath', [pick(elementTypes), pick(['k', 'a/b']), pick(['', 'hub', null, UNDEFINED])]]],
    [1, () => ['getElementSelector', [pick(elementTypes), pick(['k', 5, null]), pick(['', 'hub', UNDEFINED])]]], [3, () => ['parseMembraneElementPath', [elementPath()]]],
  ];
  let id = 0;

  return () => {
    const [fn, args] = weighted(...calls);
    return { id: `random-${id++}`, fn, args };
  };
}
