/** What both bundles, and the test of what is in them, are built with. */
import type { BuildOptions } from 'esbuild';
import { netlinkCodecs } from './netlink-codecs.ts';

export const BUNDLE_OPTIONS = {
  bundle: true,
  platform: 'node',
  target: 'node26',
  // Beside the bundle, from where they go into THIRD-PARTY-NOTICES.
  legalComments: 'external',
  metafile: true,
  logLevel: 'warning',
  plugins: [netlinkCodecs],
} satisfies BuildOptions;
