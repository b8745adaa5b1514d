import { join } from 'node:path';
import { applyPatch, build, textOf } from './kustomize.ts';
import { setImage } from './set-image.ts';
import { imageOf, type ManifestValues, patchesFor } from './values.ts';

const FOLDER = join(import.meta.dirname, '../../cni-conf/kustomize');

/** What is made, and of which folder of cni-conf/kustomize. */
export const MANIFESTS = {
  'weft.yaml': 'weft',
  'weft-cni-only.yaml': 'cni-only',
  'weft-proxy-only.yaml': 'proxy-only',
  'weft-uninstall.yaml': 'uninstall',
} as const;

export type ManifestName = keyof typeof MANIFESTS;

/** One file of objects, with the values laid over as a kustomization would. Throws ConfigError. */
export function renderManifest(name: ManifestName, values: ManifestValues): string {
  const documents = build(join(FOLDER, MANIFESTS[name]));
  for (const patch of patchesFor(values)) {
    // What takes weft off has no configuration, and looks at all nodes.
    if (name === 'weft-uninstall.yaml') continue;
    applyPatch(documents, patch);
  }
  const image = imageOf(values);
  if (image !== undefined) setImage(documents, image);
  return textOf(documents);
}
