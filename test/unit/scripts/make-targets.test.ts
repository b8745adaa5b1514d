import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

/** What make would run for a target on a machine that has nothing yet. */
function recipe(target: string): string {
  const args = ['-n', '-W', 'package.json', '-W', 'native/shim/weft-shim.c', target];
  return execFileSync('make', args, { cwd: ROOT, encoding: 'utf8' });
}

describe('packages of tests and runtimes', () => {
  test.each(['manifests', 'build', 'bundle', 'image', 'release', 'install', 'verify'])(
    'are not installed by make %s, but what it runs on is',
    (target) => {
      const text = recipe(target);
      expect(text).not.toContain('scripts/setup.sh');
      expect(text).not.toContain('scripts/setup-runtimes.sh');
      expect(text).toContain('scripts/setup-modules.sh');
    },
  );

  test('are not needed at all where only manifests are made', () => {
    expect(recipe('manifests')).not.toContain('install-packages');
    expect(recipe('build')).toContain('install-packages.sh build musl-tools');
  });

  test.each(['test', 'test-one', 'test-unit', 'test-netns', 'test-sanitized', 'demo', 'golden'])(
    'are there before make %s',
    (target) => {
      expect(recipe(target)).toContain('scripts/setup.sh');
    },
  );
});
