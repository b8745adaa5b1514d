/** What iptables-save prints of a table, as rules that can be asked whom they masquerade or drop. Pure. */
import { type ListedTable, targetOf } from '../../iptables/listing.ts';
import { tryParseCidr } from '../../net/cidr.ts';
import type { NatAction, NatCondition } from '../../nftables/nat-rule.ts';
import type { DescribedChains, DescribedRule } from './search.ts';

const TOKEN = /"(?:[^"\\]|\\.)*"|\S+/g;
const REWRITES_SOURCE: readonly string[] = ['MASQUERADE', 'SNAT', 'NETMAP'];
const ACCEPTS: readonly string[] = ['ACCEPT', 'DNAT', 'REDIRECT'];
const DROPS: readonly string[] = ['DROP', 'REJECT'];
/** Options that are met by a part of what pods send to each other. */
const PARTS: readonly string[] = [
  ...['-p', '--sport', '--dport', '--sports', '--dports', '--ports', '--icmp-type'],
  ...['--icmpv6-type', '--tcp-flags'],
];
/** Options that say nothing about packets. */
const SILENT: readonly string[] = ['-m', '--comment', '-c'];
/** The chains that packets meet from some of their places (`FORWARD`) on; others are left out. */
export function describedChains(listed: ListedTable, places: readonly string[]): DescribedChains {
  const chains = new Map<string, readonly DescribedRule[]>();
  const waiting = [...places];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const rules = listed.get(name);
    if (rules === undefined || chains.has(name)) continue;
    chains.set(
      name,
      rules.map((rule) => describe(name, rule)),
    );
    waiting.push(...rules.map(targetOf));
  }
  return chains;
}

function describe(chain: string, rule: string): DescribedRule {
  const conditions: NatCondition[] = [];
  let action: NatAction = { kind: 'none' };
  let isNegated = false;
  const tokens = [...rule.matchAll(TOKEN)].map(([token]) => token);
  for (let at = 0; at < tokens.length; at++) {
    const option = tokens[at] ?? '';
    if (option === '!') {
      isNegated = true;
      continue;
    }
    if (!option.startsWith('-')) continue;
    const value = tokens[at + 1] ?? '';
    if (option === '-j' || option === '-g') {
      action = actionOf(value, option === '-g');
      break;
    }
    if (!SILENT.includes(option)) conditions.push(conditionOf(option, value, isNegated));
    isNegated = false;
  }
  return { conditions, action, text: `rule "-A ${chain} ${rule}"` };
}

function actionOf(target: string, isGoto: boolean): NatAction {
  if (REWRITES_SOURCE.includes(target)) return { kind: 'masquerade' };
  if (target === 'RETURN') return { kind: 'return' };
  if (ACCEPTS.includes(target)) return { kind: 'accept' };
  if (DROPS.includes(target)) return { kind: 'drop' };
  return { kind: isGoto ? 'goto' : 'jump', chain: target };
}

function conditionOf(option: string, value: string, isNegated: boolean): NatCondition {
  if (PARTS.includes(option)) return { kind: 'part' };
  switch (option) {
    case '-s':
    case '-d': {
      const network = tryParseCidr(value);
      const kind = option === '-s' ? 'source' : 'destination';
      return network === undefined ? { kind: 'unknown' } : { kind, network, isNegated };
    }
    case '-i':
      return { kind: 'input', name: value, isNegated };
    case '-o':
      return { kind: 'output', name: value, isNegated };
    case '--ctstate':
      return { kind: 'state', isNew: value.split(',').includes('NEW') !== isNegated };
    case '--mark': {
      const [bits = '', mask = '0xffffffff'] = value.split('/');
      return { kind: 'mark', value: Number(bits), mask: Number(mask), isNegated };
    }
    default:
      return { kind: 'unknown' };
  }
}
