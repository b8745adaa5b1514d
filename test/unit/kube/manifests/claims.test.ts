import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManifestClaims } from '../../../../src/kube/manifests/claims.ts';
import type { ManifestObject } from '../../../../src/kube/manifests/manifest-file.ts';

const FILES = ['1.yaml', '2.yaml', '3.yaml'];
/** Equal entries are the same value, as reused pieces are. */
const POOL: readonly ManifestObject[] = ['a', 'b', 'c'].flatMap((name) =>
  [1, 2].map((version) => ({
    kindId: 'v1 Service',
    key: `x/${name}`,
    object: { metadata: { name, namespace: 'x', uid: String(version) } },
  })),
);

const step = fc.record({
  file: fc.constantFrom(...FILES),
  entries: fc.uniqueArray(fc.constantFrom(...POOL)),
});

test('changes lead to what a fresh reading of all files gives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const claims = new ManifestClaims();
      const files = new Map<string, readonly ManifestObject[]>();
      const told = new Map<string, unknown>();
      for (const { file, entries } of steps) {
        claims.setFile(file, entries);
        files.set(file, entries);
        for (const { key, object } of await claims.takeChanges()) {
          expect(told.get(key)).not.toBe(object);
          if (object === undefined) told.delete(key);
          else told.set(key, object);
        }
        const want = new Map<string, unknown>();
        const all = FILES.flatMap((name) => files.get(name) ?? []);
        for (const { key, object } of all) if (!want.has(key)) want.set(key, object);
        const byKey = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : 1);
        expect([...told].sort(byKey)).toEqual([...want].sort(byKey));
        expect([...(await claims.objectsOf('v1 Service'))].sort(byKey)).toEqual(
          [...want].sort(byKey),
        );
        expect(claims.duplicates()).toHaveLength(all.length - want.size);
      }
    }),
  );
});
