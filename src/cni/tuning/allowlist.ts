import { readFileSync } from 'node:fs';
import { ConfigError, IoError, toError } from '../../util/errors.ts';
import { ifThere } from '../../util/files.ts';

/** Where an administrator restricts sysctls, in the reference and here. */
export const DEFAULT_ALLOWLIST_FILE = '/etc/cni/tuning/allowlist.conf';

/**
 * Throws ConfigError for the first key that no regular expression of the file matches. There is one
 * per line, for keys as configured (`^net\.ipv4\.conf\.IFNAME\.[a-z_]*$`); without the file
 * everything is allowed, with an empty one nothing.
 */
export function requireAllowed(keys: readonly string[], file: string): void {
  if (keys.length === 0) return;
  const lines = readLines(file);
  if (lines === undefined) return;
  const patterns = lines.map((line) => compile(line, file));
  const refused = keys.find((key) => !patterns.some((pattern) => pattern.test(key)));
  if (refused === undefined) return;
  const list = lines.join(' ');
  throw new ConfigError(
    'sysctl',
    `Sysctl ${refused} is not allowed. Only the following sysctls are allowed: [${list}]`,
  );
}

function readLines(file: string): readonly string[] | undefined {
  try {
    const lines = ifThere(() => readFileSync(file, 'utf8'))
      ?.split('\n')
      .map((line) => line.trim());
    return lines?.filter((line) => line !== '');
  } catch (cause) {
    throw new IoError(`failed to read allowlist ${file}: ${toError(cause).message}`, { cause });
  }
}

function compile(line: string, file: string): RegExp {
  try {
    return new RegExp(line);
  } catch (cause) {
    throw new IoError(`allowlist ${file}: ${toError(cause).message}`, { cause });
  }
}
