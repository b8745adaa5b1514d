import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The files of a configuration, in the order they take effect: `path` itself, or what a directory has
 * that ends in .yaml or .yml, by name. Hidden ones are left out, among them the kubelet's in a
 * mounted ConfigMap (`..data`). Throws what the file system throws for a directory; a file that is
 * missing is found out by its reader.
 */
export function configPaths(path: string): readonly string[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  return readdirSync(path)
    .filter((name) => !name.startsWith('.') && /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(path, name));
}
