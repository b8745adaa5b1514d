/** Which of many a name means that people type. */
import { WeftError } from '../../../util/errors.ts';

const MOST_NAMED = 5;

/** `parties`: pods and Services. */
export const NAMES_KINDS = [
  'pods',
  'services',
  'namespaces',
  'nodes',
  'addresses',
  'parties',
] as const;
export type NamesKind = (typeof NAMES_KINDS)[number];

/** What is asked about; a name without a namespace means it in every one. */
export interface Wanted {
  readonly namespace?: string;
  /** `namespace/name`, or a name. */
  readonly name?: string;
}

/** Whether a key, `namespace/name`, is among what is asked about. */
export function isWanted(key: string, { namespace, name }: Wanted): boolean {
  if (namespace !== undefined && !key.startsWith(`${namespace}/`)) return false;
  if (name === undefined) return true;
  return name.includes('/') ? key === name : key.endsWith(`/${name}`);
}

/** The one Service that is meant. Throws ENOENT for none, and for several, whose namespaces it names. */
export function onlyService(keys: Iterable<string>, wanted: Wanted): string {
  const found: string[] = [];
  for (const key of keys) if (isWanted(key, wanted)) found.push(key);
  const [only, ...others] = found;
  if (only === undefined) {
    const cure = 'weft services lists those it serves: no headless ones, no ExternalNames';
    throw new WeftError('ENOENT', `no Service ${wanted.name} that this agent serves; ${cure}`);
  }
  if (others.length === 0) return only;
  const named = found.toSorted().slice(0, MOST_NAMED).join(', ');
  const more = found.length > MOST_NAMED ? ', …' : '';
  throw new WeftError('ENOENT', `several are called ${wanted.name}: ask for ${named}${more}`);
}
