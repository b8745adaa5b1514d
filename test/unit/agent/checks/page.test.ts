import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSubjects } from '../../../../src/agent/checks/subjects.ts';

test('docs/operate.md names every check, and no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/operate.md'), 'utf8');
  const [, table = ''] = /\| what people say[^\n]*\n([\s\S]*?)\n\n/.exec(page) ?? [];
  const named = [...table.matchAll(/`([a-z0-9-]+)`/g)].map(([, id]) => id);
  const ids = openSubjects().flatMap((subject) => subject.ids);
  expect([...new Set(named)].sort()).toEqual([...ids].sort());
});
