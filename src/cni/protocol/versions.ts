import { CNI_ERROR_CODE, CniError } from './errors.ts';
import { compactJson } from './json.ts';

/** Specification versions whose configurations are accepted and whose results are printed. */
export const SUPPORTED_VERSIONS = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
] as const;

export type SpecVersion = (typeof SUPPORTED_VERSIONS)[number];

/** The newest version; what errors carry before the configuration's own version is known. */
export const CURRENT_VERSION: SpecVersion = '1.1.0';

/** Stdout of the VERSION verb: one line of JSON. Follows skel, which prints its own current version. */
export function versionReply(): string {
  return `${compactJson({ cniVersion: CURRENT_VERSION, supportedVersions: SUPPORTED_VERSIONS })}\n`;
}

/** Exact membership, as libcni's Reconciler: `1.0` and `1.2.0` are refused with code 1. */
export function checkVersion(version: string): SpecVersion {
  const found = SUPPORTED_VERSIONS.find((supported) => supported === version);
  if (found !== undefined) return found;
  const list = SUPPORTED_VERSIONS.map((supported) => JSON.stringify(supported)).join(' ');
  throw new CniError(
    CNI_ERROR_CODE.incompatibleVersion,
    'incompatible CNI versions',
    `config is ${JSON.stringify(version)}, plugin supports [${list}]`,
  );
}

/** Whether `version` is `minimum` or newer; code 6 when it is not three numbers. */
export function isAtLeast(version: string, minimum: SpecVersion): boolean {
  const have = numbersOf(version);
  const want = numbersOf(minimum);
  for (const [index, part] of want.entries()) {
    const mine = have[index] ?? 0;
    if (mine !== part) return mine > part;
  }
  return true;
}

function numbersOf(version: string): readonly number[] {
  const parts = version === '' ? [0, 1, 0] : version.split('.').map(decimalOf);
  if (parts.length > 3 || parts.some((part) => part === undefined)) {
    throw new CniError(CNI_ERROR_CODE.decodingFailure, `failed to parse CNI version ${version}`);
  }
  return parts.map((part) => part ?? 0);
}

function decimalOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}
