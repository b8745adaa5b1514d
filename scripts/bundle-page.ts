/** The page of `weft ui` as files that the agent serves as they are. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { build, type Metafile } from 'esbuild';

/** Latin alone, all weights in one file. */
const FONT = 'node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2';

/** Bundles src/ui into `outdir`; gives what is in it. */
export async function bundlePage(outdir: string): Promise<Metafile> {
  mkdirSync(outdir, { recursive: true });
  const { metafile, warnings } = await build({
    entryPoints: ['src/ui/main.ts', 'src/ui/page.css'],
    entryNames: 'page',
    outdir,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: ['es2022', 'chrome111', 'firefox113', 'safari16.4'],
    // The agent has it under this path.
    external: ['/inter.woff2'],
    // Names of packages are in THIRD-PARTY-NOTICES.
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  if (warnings.length > 0) throw new Error(`bundle: ${warnings.length} warnings of the page`);
  copyFileSync('src/ui/page.html', `${outdir}/page.html`);
  copyFileSync('src/ui/icon.svg', `${outdir}/icon.svg`);
  copyFileSync(FONT, `${outdir}/inter.woff2`);
  return metafile;
}
