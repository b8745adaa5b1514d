/** The network configurations of the runtime, as files in its directory. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../util/errors.ts';
import { readIfReadable } from '../util/files.ts';
import { parseJson } from '../util/json.ts';
import { isJsonObject, memberOf } from './protocol/json.ts';

type Members = Readonly<Record<string, unknown>>;

/** One file: a list of plugins, or one plugin alone. */
export interface NetworkConfig {
  /** Its name in the directory. */
  readonly file: string;
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly Members[];
}

/**
 * Reads what can be read, in the order of names. Half-written and foreign files are not ours to
 * complain about: they are left out, and so is a directory that is missing.
 */
export function readNetworkConfigs(directory: string): readonly NetworkConfig[] {
  return namesIn(directory)
    .filter((file) => /\.(conf|conflist|json)$/.test(file))
    .flatMap((file) => parseNetworkConfig(file, readIfReadable(join(directory, file)) ?? ''));
}

function parseNetworkConfig(file: string, text: string): readonly NetworkConfig[] {
  const value = parseJson(text);
  if (!isJsonObject(value)) return [];
  const name = memberOf(value, 'name');
  const cniVersion = memberOf(value, 'cniVersion');
  const plugins = memberOf(value, 'plugins');
  return [
    {
      file,
      name: typeof name === 'string' ? name : '',
      cniVersion: typeof cniVersion === 'string' ? cniVersion : '',
      plugins: Array.isArray(plugins) ? plugins.filter(isJsonObject) : [value],
    },
  ];
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(errorCode(thrown) ?? '')) return [];
    throw thrown;
  }
}
