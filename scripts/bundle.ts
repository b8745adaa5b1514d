/**
 * bundle.ts DIR: the two programs as single files, with the addon left outside beside them.
 * `weft.mjs` is the command line and the agent. `weft-cni.cjs` is the standalone CNI executable: a
 * loader for `weft-cni.bin`, which holds its code and V8's cache of it.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { type BuildOptions, type BuildResult, build } from 'esbuild';
import { netlinkCodecs } from './netlink-codecs.ts';

const [outdir = 'dist'] = process.argv.slice(2);

const common = {
  bundle: true,
  platform: 'node',
  target: 'node26',
  legalComments: 'none',
  logLevel: 'warning',
  plugins: [netlinkCodecs],
} satisfies BuildOptions;

/** Node's modules that are ready when a program starts. */
const readyModules = new Set(['node:fs', 'node:module', 'node:os', 'node:path', 'node:util', 'os']);
/** Modules that take milliseconds to load: not before the first use of one of their exports. */
const lazyModules = ['node:child_process', 'node:crypto'];

/** The standalone's code is a function, called by the loader with its `require` and its URL. */
const standaloneHead = `(function (load, loaderUrl) {
const lazy = ${JSON.stringify(lazyModules)};
const loaded = new Map();
const require = (id) => {
  if (!loaded.has(id)) loaded.set(id, lazy.includes(id) ? lazily(id) : load(id));
  return loaded.get(id);
};
const lazily = (id) => new Proxy({}, { get: (_, name) => load(id)[name] });
`;

mkdirSync(outdir, { recursive: true });
await bundleAgent();
await bundleStandalone();

async function bundleAgent(): Promise<void> {
  const result = await build({
    ...common,
    entryPoints: ['src/cli/weft.ts'],
    outfile: `${outdir}/weft.mjs`,
    format: 'esm',
    // Not the identifiers: logs and stack traces show them.
    minifySyntax: true,
    minifyWhitespace: true,
    // CommonJS dependencies inside an ES module bundle still call require() for Node's own modules.
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
    },
  });
  refuseWarnings(result);
}

async function bundleStandalone(): Promise<void> {
  const source = `${outdir}/weft-cni.js`;
  const result = await build({
    ...common,
    entryPoints: ['src/cli/cni.ts'],
    outfile: source,
    format: 'cjs',
    minify: true,
    metafile: true,
    define: { 'import.meta.url': 'loaderUrl' },
    banner: { js: standaloneHead },
    footer: { js: '})' },
  });
  refuseWarnings(result);
  for (const { imports } of Object.values(result.metafile.outputs)) {
    const costly = imports.find(
      ({ path }) => !readyModules.has(path) && !lazyModules.includes(path),
    );
    if (costly !== undefined) throw new Error(`weft-cni: ${costly.path} is loaded at every start`);
  }
  copyFileSync('scripts/weft-cni.cjs', `${outdir}/weft-cni.cjs`);
  const flags = readFileSync('native/shim/node-flags', 'utf8').split('\n').filter(Boolean);
  const program = [...flags, 'scripts/code-cache.ts', source, `${outdir}/weft-cni.bin`];
  execFileSync(process.execPath, program, { stdio: 'inherit' });
  rmSync(source);
}

function refuseWarnings({ warnings }: BuildResult): void {
  if (warnings.length > 0) throw new Error(`bundle: ${warnings.length} warnings`);
}
