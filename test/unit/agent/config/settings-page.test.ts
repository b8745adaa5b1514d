import { join } from 'node:path';
import { expect, test } from 'vitest';
import { settingsPage } from '../../../../scripts/settings-page.ts';

test('docs/settings.md tells of every setting as it is (make settings-page)', async () => {
  const page = join(import.meta.dirname, '../../../../docs/settings.md');
  await expect(settingsPage()).toMatchFileSnapshot(page);
});
