import { type Document, isMap, isSeq } from 'yaml';

const POD_SPEC = ['spec', 'template', 'spec'] as const;

/** Every container of every workload runs `image`, as `images` of a kustomization would have it. */
export function setImage(documents: readonly Document[], image: string): void {
  for (const document of documents) {
    for (const list of ['initContainers', 'containers']) {
      const containers = document.getIn([...POD_SPEC, list], true);
      if (!isSeq(containers)) continue;
      for (const container of containers.items) {
        if (isMap(container)) container.set('image', image);
      }
    }
  }
}
