/** Answers about policies in words, for the terminal. */
import type { Direction } from '../../kube/policy/types.ts';
import type { DirectionOverview, RuleOverview } from '../../policy/overview.ts';
import { type Column, tableLines, wrapped } from '../../util/text-layout.ts';
import type { ToldDenial } from '../policy/denials.ts';
import type { ListedPolicy, PolicyListAnswer, PolicyPodAnswer } from './policy.ts';

const COLUMNS: readonly Column[] = [
  { title: 'TIER' },
  { title: 'POLICY' },
  { title: 'PODS', isNumber: true },
  { title: 'DIRECTION' },
  { title: 'ALLOWED', isNumber: true },
  { title: 'DENIED', isNumber: true },
];
const VERBS = { Accept: 'allows', Deny: 'denies', Pass: 'passes on' } as const;

/** What `weft policy list` prints; without `isAll` only policies that select a pod of this node. */
export function policyListText(
  { whyNotReady, policies, podCount }: PolicyListAnswer,
  { isAll }: { readonly isAll: boolean },
): string {
  const shown = policies.filter((policy) => isAll || isOfThisNode(policy));
  const left = policies.length - shown.length;
  const table = shown.length === 0 ? [] : tableLines(COLUMNS, shown.map(rowOf));
  return lines([
    ...table,
    ...(shown.length === 0 ? [`no policy selects any of this node's ${podCount} pods`] : []),
    ...(left === 0 ? [] : [`${left} more of no pod of this node: --all shows them`]),
    ...(whyNotReady === '' ? [] : noteLines(`policies do not hold on this node: ${whyNotReady}`)),
    ...shown.flatMap(({ policy, problems }) =>
      problems.flatMap((problem) => noteLines(`${policy}: ${problem}`)),
    ),
  ]);
}

function noteLines(text: string): readonly string[] {
  return wrapped(text, { first: '! ', next: '  ' });
}

function isOfThisNode({ podCount, problems }: ListedPolicy): boolean {
  return podCount > 0 || problems.length > 0;
}

function rowOf({ tier, priority, policy, podCount, directions, connections }: ListedPolicy) {
  const sum = (of: (one: (typeof connections)[number]) => number) =>
    connections.length === 0 ? '-' : String(connections.reduce((all, one) => all + of(one), 0));
  return [
    ...[tierText(tier, priority), policy, String(podCount)],
    directions.length === 2 ? 'both' : (directions[0] ?? 'none'),
    sum(({ allowed }) => allowed),
    sum(({ denied }) => denied),
  ];
}

function tierText(tier: string, priority: number | undefined): string {
  return priority === undefined ? tier : `${tier} ${priority}`;
}

/** What `weft policy pod` prints. */
export function policyPodText(answer: PolicyPodAnswer): string {
  const { pod, ips, node, isLocal } = answer;
  const where = isLocal
    ? 'of this node'
    : node === undefined
      ? 'of no node yet'
      : `of node ${node}`;
  const addresses = ips.length === 0 ? 'no address yet' : ips.join(', ');
  return lines([
    ...wrapped(`Pod ${pod} (${addresses}), ${where}`, { first: '', next: '  ' }),
    ...directionLines('ingress', answer.ingress),
    ...directionLines('egress', answer.egress),
  ]);
}

function directionLines(
  direction: Direction,
  { isolatedBy, rules }: DirectionOverview,
): readonly string[] {
  const isIsolated = isolatedBy.length > 0;
  if (!isIsolated && rules.length === 0)
    return ['', `${direction}: no policy, all of it is allowed`];
  const by = `isolated by ${isolatedBy.length === 1 ? 'NetworkPolicy' : 'NetworkPolicies'}`;
  const state = isIsolated ? `${by} ${isolatedBy.join(', ')}` : 'isolated by no NetworkPolicy';
  return [
    '',
    ...wrapped(`${direction}: ${state}`, { first: '', next: '  ' }),
    ...rules.flatMap((rule) => ruleLines(rule, direction)),
    `  anything else: ${isIsolated ? 'denied' : 'allowed'}`,
  ];
}

function ruleLines(rule: RuleOverview, direction: Direction): readonly string[] {
  const { tier, priority, policy, name, action, traffic } = rule;
  const called = name === undefined ? '' : ` "${name}"`;
  const who = `${tierText(tier, priority)} ${policy} ${direction}[${rule.rule}]${called}`;
  return wrapped(`${who} ${VERBS[action]} ${traffic}`, { first: '  ', next: '      ' });
}

/** One denied connection, as `weft policy denied` prints it. */
export function denialText(denial: ToldDenial): string {
  const { at, from, to, port, protocol, packets, suppressed, reason } = denial;
  const place = port === 0 ? `${to}/${protocol}` : `${to}:${port}/${protocol}`;
  const times = packets === 1 ? '' : `, ${packets} packets`;
  const others = suppressed === 0 ? '' : `; ${suppressed} packets before it were not told`;
  return lines([
    `${at.slice(0, 19)}Z  ${from} -> ${place.toLowerCase()}${times}`,
    ...wrapped(`${reason}${others}`, { first: '    ', next: '      ' }),
  ]);
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
