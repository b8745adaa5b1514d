/**
 * manifests.ts DIR: what `kubectl apply -f` takes, of cni-conf/kustomize and of make's variables
 * API_SERVER, POD_CIDRS, SERVICE_CIDRS, BACKEND, PROXY_MODE, NODE_SELECTOR and IMAGE in the environment.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError } from '../src/util/errors.ts';
import { MANIFESTS, type ManifestName, renderManifest } from './manifests/render.ts';

const [outdir = 'dist'] = process.argv.slice(2);

try {
  mkdirSync(outdir, { recursive: true });
  for (const name of Object.keys(MANIFESTS) as ManifestName[]) {
    const path = join(outdir, name);
    writeFileSync(path, renderManifest(name, process.env));
    console.log(`manifests: ${path}`);
  }
} catch (thrown) {
  if (!(thrown instanceof ConfigError)) throw thrown;
  console.error(`manifests: ${thrown.message}`);
  process.exitCode = 2;
}
