/** Labels that a node has to have, in the words of kubectl's `-l`: `rack=a,!spare,tier!=db,metered`. */
export interface NodeSelector {
  readonly text: string;
  readonly requirements: readonly Requirement[];
}

interface Requirement {
  readonly key: string;
  readonly kind: 'equal' | 'unequal' | 'there' | 'absent';
  readonly value: string;
}

export type Labels = Readonly<Record<string, string>>;

export const EVERY_NODE: NodeSelector = { text: '', requirements: [] };

const KEY = '[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?';
const VALUE = '(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?';
const REQUIREMENT = new RegExp(`^(!)?(${KEY})(?:(==?|!=)(${VALUE}))?$`);

/** Undefined for text that is no selector. Empty text selects every node. */
export function parseNodeSelector(text: string): NodeSelector | undefined {
  if (text.trim() === '') return EVERY_NODE;
  const requirements: Requirement[] = [];
  for (const part of text.split(',')) {
    const [, not, key, operator, value = ''] = REQUIREMENT.exec(part.trim()) ?? [];
    if (key === undefined || (not !== undefined && operator !== undefined)) return undefined;
    requirements.push({ key, kind: kindOf(not, operator), value });
  }
  return { text, requirements };
}

function kindOf(not: string | undefined, operator: string | undefined): Requirement['kind'] {
  if (operator === undefined) return not === undefined ? 'there' : 'absent';
  return operator === '!=' ? 'unequal' : 'equal';
}

/** As in the API, a label that is not there is unequal to every value. */
export function selectsNode({ requirements }: NodeSelector, labels: Labels): boolean {
  return requirements.every(({ key, kind, value }) => {
    const found = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (kind === 'there') return found !== undefined;
    if (kind === 'absent') return found === undefined;
    return (found === value) === (kind === 'equal');
  });
}
