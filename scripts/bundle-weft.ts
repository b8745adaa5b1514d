/** The program `weft`: a small file that asks agents and prints answers, and what it loads for the rest. */
import { basename } from 'node:path';
import { type BuildResult, build, type Metafile, type Plugin } from 'esbuild';
import { BUNDLE_OPTIONS } from './bundle-options.ts';

/** What commands load when they run; but for records, which are there soon where no agent answers. */
const LOADED_LATER = [
  'src/cli/connectivity/run.ts',
  'src/cli/node-work.ts',
  'src/cli/policy/check.ts',
  'src/cli/settings/agent.ts',
  'src/cli/settings/proxy.ts',
];

/** In one file: esbuild gives each set of modules that several share a file of its own, and each takes its time. */
const togetherLater: Plugin = {
  name: 'together-later',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\.ts$/ }, ({ kind, path }) => {
      const isOne = LOADED_LATER.some((file) => file.endsWith(path.replace(/^(?:\.\.?\/)+/, '/')));
      return kind === 'dynamic-import' && isOne ? { path: 'later', namespace: 'later' } : undefined;
    });
    onLoad({ filter: /^later$/, namespace: 'later' }, () => ({
      contents: LOADED_LATER.map((file) => `export * from './${file}';`).join('\n'),
      resolveDir: process.cwd(),
    }));
  },
};

/** Writes `weft.mjs` and its `weft-*.mjs` into `outdir`, unless `isWritten` is false; gives what is in them. */
export async function bundleWeft(outdir: string, isWritten = true): Promise<Metafile> {
  const result = await build({
    ...BUNDLE_OPTIONS,
    plugins: [...BUNDLE_OPTIONS.plugins, togetherLater],
    entryPoints: ['src/cli/weft.ts'],
    outdir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'weft-[hash]',
    write: isWritten,
    format: 'esm',
    splitting: true,
    // Not the identifiers: logs and stack traces show them.
    minifySyntax: true,
    minifyWhitespace: true,
    // CommonJS dependencies inside an ES module bundle still call require() for Node's own modules.
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
  });
  refuseWarnings(result);
  return result.metafile;
}

export function refuseWarnings({ warnings }: BuildResult): void {
  if (warnings.length > 0) throw new Error(`bundle: ${warnings.length} warnings`);
}

/** Names of the files of a bundle. */
export function fileNames({ outputs }: Metafile): readonly string[] {
  return Object.keys(outputs).map((path) => basename(path));
}
