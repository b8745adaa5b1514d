import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandsPage } from '../../../scripts/commands-page.ts';
import { metricsPage } from '../../../scripts/metrics-page.ts';

const docs = (page: string) => join(import.meta.dirname, '../../../docs', page);

test('docs/commands.md is what the commands say (make reference-pages)', async () => {
  await expect(commandsPage()).toMatchFileSnapshot(docs('commands.md'));
});

test('docs/metrics.md names what is served (make reference-pages)', async () => {
  await expect(await metricsPage()).toMatchFileSnapshot(docs('metrics.md'));
});
