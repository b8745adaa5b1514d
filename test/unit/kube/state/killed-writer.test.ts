import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readObjects } from '../../../../src/kube/state/object-file.ts';

const ROUNDS = 5;
const WRITER = join(import.meta.dirname, '../../../support/workloads/object-file-writer.ts');

test('a writer killed at any instant leaves a whole file', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-killed-'));
  const path = join(directory, 'objects.jsonl');
  for (let round = 0; round < ROUNDS; round++) {
    const writer = spawn(process.execPath, [WRITER, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(writer.stdout, 'data');
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 40));
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    const objects = (await readObjects(path, 'cluster-a')).get('services') ?? [];
    expect(objects[0]).toEqual({
      metadata: { name: `v-${objects.length}`, namespace: 'x' },
    });
  }
  rmSync(directory, { recursive: true });
});
