/**
 * object-file-writer.ts PATH: replaces a file of objects again and again until it is killed. Each
 * version holds as many objects as its number says; prints a dot after each.
 */
import { writeObjects } from '../../../src/kube/state/object-file.ts';

const [path = ''] = process.argv.slice(2);
for (let version = 1000; ; version++) {
  const objects = Array.from({ length: version }, () => ({
    metadata: { name: `v-${version}`, namespace: 'x' },
  }));
  await writeObjects(path, 'cluster-a', new Map([['services', objects]]));
  process.stdout.write('.');
}
