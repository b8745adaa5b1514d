/**
 * image-index.ts INDEX [REFERENCE]: prints the digest of the one image that an OCI layout's index has;
 * with a reference, first gives the image this name in the ways that containerd and others read.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Index {
  readonly schemaVersion: number;
  readonly manifests: readonly { readonly digest: string }[];
}

const [path = '', reference] = process.argv.slice(2);
// Written by umoci, in the shape of the OCI image specification.
const index = JSON.parse(readFileSync(path, 'utf8')) as Index;
const [image] = index.manifests;
if (image === undefined || index.manifests.length > 1) throw new Error(`${path}: not one image`);
if (reference === undefined) {
  console.log(image.digest);
} else {
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference,
  };
  writeFileSync(path, JSON.stringify({ ...index, manifests: [{ ...image, annotations }] }));
}
