import type { DecidingRule, Finding, Verdict } from './evaluator.ts';
import type { Traffic } from './ports.ts';

interface Question extends Traffic {
  readonly from: string;
  readonly to: string;
}

/** Why a connection passes or not: the side that denies it, else what allows it on both sides. */
export function verdictText({ isAllowed, egress, ingress }: Verdict, question: Question): string {
  const { from, to } = question;
  const sides = [
    { finding: egress, text: findingText(egress, 'egress', from, question) },
    { finding: ingress, text: findingText(ingress, 'ingress', to, question) },
  ];
  if (egress.kind === 'same-pod') return `${from} reaches itself, whatever the policies`;
  const told = isAllowed
    ? sides.filter(({ finding }) => finding.kind !== 'no-subject')
    : sides.filter(({ finding }) => !finding.isAllowed);
  return told.length === 0
    ? 'no pod of the cluster is concerned'
    : told.map(({ text }) => text).join('; ');
}

function findingText(
  finding: Finding,
  direction: 'egress' | 'ingress',
  subject: string,
  question: Question,
): string {
  switch (finding.kind) {
    case 'no-subject':
      return `${direction}: ${subject} is no pod that policies select`;
    case 'same-pod':
      return `${direction}: a pod reaches itself`;
    case 'own-node':
      return `${direction}: a pod and its own node always reach each other`;
    case 'no-policy':
      return `${direction}: no policy selects ${subject}`;
    case 'rule':
      return `${direction}: ${ruleText(finding.by, direction)} ${finding.isAllowed ? 'allows' : 'denies'} it`;
    case 'isolated':
      return isolatedText(finding.policies, direction, subject, question);
  }
}

function ruleText({ tier, policy, rule, ruleName }: DecidingRule, direction: string): string {
  const kind = tier === 'NetworkPolicy' ? 'NetworkPolicy' : `ClusterNetworkPolicy (${tier})`;
  const name = ruleName ? ` "${ruleName}"` : '';
  return `${kind} ${policy}, ${direction}[${rule}]${name},`;
}

const MAX_NAMED = 3;

function isolatedText(
  policies: readonly string[],
  direction: 'egress' | 'ingress',
  subject: string,
  { from, to, protocol, port }: Question,
): string {
  const named = policies.slice(0, MAX_NAMED).join(', ');
  const more = policies.length > MAX_NAMED ? ` and ${policies.length - MAX_NAMED} more` : '';
  const traffic = protocol === 'ICMP' ? 'ICMP' : `${protocol} ${port}`;
  const peer = direction === 'egress' ? `to ${to}` : `from ${from}`;
  const isOne = policies.length === 1;
  const subjects = `${isOne ? 'NetworkPolicy' : 'NetworkPolicies'} ${named}${more}`;
  const verbs = isOne ? ['isolates', 'allows'] : ['isolate', 'allow'];
  return `${direction}: ${subjects} ${verbs[0]} ${subject} and ${verbs[1]} no ${traffic} ${peer}`;
}
