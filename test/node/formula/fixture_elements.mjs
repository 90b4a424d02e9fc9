// The elements of the fixture workspace.
import { readdirSync, readFileSync } from 'node:fs';
import { load, JSON_SCHEMA } from 'js-yaml';

const root = new URL('../../fixtures/workspace-bidirectional-sync/', import.meta.url);

/** Every element: [path of its file, element]. */
export function* elements() {
  for (const path of readdirSync(root, { recursive: true }).sort())
    if (path.endsWith('spec.yaml')) yield [path, load(readFileSync(new URL(path, root), 'utf8'), { schema: JSON_SCHEMA })];
}
