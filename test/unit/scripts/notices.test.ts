import { build, type Metafile } from 'esbuild';
import { expect, test } from 'vitest';
import { BUNDLE_OPTIONS } from '../../../scripts/bundle-options.ts';
import { bundleWeft } from '../../../scripts/bundle-weft.ts';
import { bundledPackages, noticesText } from '../../../scripts/third-party-notices.ts';

async function standalone(): Promise<Metafile> {
  const { metafile } = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: ['src/cli/cni.ts'],
    outfile: 'dist/not-written.js',
    format: 'cjs',
    write: false,
    logLevel: 'error',
    logOverride: { 'empty-import-meta': 'silent' },
  });
  return metafile;
}

test('every package of which the bundles hold code is in the notices, and so is Node', async () => {
  const metafiles = [await bundleWeft('dist', false), await standalone()];
  const paths = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const names = paths.flatMap(
    (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/[^:]*$/.exec(path)?.[1] ?? [],
  );
  expect(names).toContain('netlink');
  const used = bundledPackages(metafiles).map((path) => path.replace(/^.*node_modules\//, ''));
  const text = noticesText(metafiles, []);
  for (const name of [...used, 'Node.js', 'node-addon-api', 'musl']) {
    expect(text).toMatch(new RegExp(`^${name}( |$)`, 'm'));
  }
  // A package of which tree shaking leaves nothing is not distributed.
  expect([...new Set(names)].sort()).toEqual(expect.arrayContaining([...new Set(used)].sort()));
  expect(used).toContain('netlink');
});

test('a package whose licence cannot be found stops the build', () => {
  const path = 'node_modules/no-such-package/index.js';
  const output = { inputs: { [path]: { bytesInOutput: 1 } }, bytes: 1, imports: [], exports: [] };
  expect(() => noticesText([{ inputs: {}, outputs: { a: output } }], [])).toThrow(
    'no-such-package',
  );
});
