import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLocalNode } from '../../src/cni/local-node.ts';
import { readUsedAddresses } from '../../src/cni/machine.ts';
import { CniTestNode } from '../support/cni-node.ts';

let node: CniTestNode;
let directory: string;
beforeEach(() => {
  node = new CniTestNode();
  directory = mkdtempSync(join(tmpdir(), 'used-addresses-'));
});
afterEach(() => {
  node.remove();
  rmSync(directory, { recursive: true });
});

test('a namespace that is half-way gone has no addresses and hides nobody else’s', () => {
  const file = join(directory, 'half-gone');
  writeFileSync(file, '');
  const pod = node.pod();
  pod.run('ip', 'addr', 'add', '10.99.0.7/32', 'dev', 'lo');
  const paths = [join(directory, 'gone'), file, pod.path];
  const { kernel } = openLocalNode({
    runDirectory: node.runDir,
    isLongLived: false,
    version: 'test',
  });
  expect(readUsedAddresses(kernel, paths)).toContain('10.99.0.7');
});
