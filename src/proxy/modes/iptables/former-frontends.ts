/** The UDP frontends that the rules of an earlier proxy serve, with the endpoints behind them. */
import type { ObservedRules } from '../../../iptables/chain-book.ts';
import { targetOf } from '../../../iptables/listing.ts';
import { chainKey } from '../../../iptables/model.ts';
import { withoutComment } from '../../../iptables/rule-key.ts';
import { type IP, tryParseIP } from '../../../net/ip.ts';
import { inTurns } from '../../../util/turns.ts';
import type { Frontend } from '../../claims.ts';
import type { FormerFrontend } from '../../commit-listener.ts';
import { CHAIN, isServiceChain } from './chain-names.ts';

type Rules = Pick<ObservedRules, 'rulesOf'>;

/** Reads the shared chains of table nat, and those of single ServicePorts that they lead to. */
export async function formerFrontends(observed: Rules): Promise<readonly FormerFrontend[]> {
  const behind = new Map<string, ReadonlySet<string>>();
  const found: FormerFrontend[] = [];
  const read = (frontendOf: (rule: string) => Frontend | undefined) => (listed: string) => {
    const rule = withoutComment(listed);
    const chain = targetOf(rule);
    const frontend = isServiceChain(chain) ? frontendOf(rule) : undefined;
    if (frontend === undefined) return;
    const endpoints = behind.get(chain) ?? new Set(endpointsBehind(observed, [chain]));
    behind.set(chain, endpoints);
    found.push({ frontend, endpoints });
  };
  await inTurns(rulesIn(observed, CHAIN.services), read(addressIn));
  await inTurns(rulesIn(observed, CHAIN.nodePorts), read(nodePortIn));
  return found;
}

/** `-d 172.30.0.1/32 -p udp -m udp --dport 53 -j KUBE-SVC-…` */
function addressIn(rule: string): Frontend | undefined {
  const ip = tryParseIP(/^-d (\S+)\/(?:32|128) /.exec(rule)?.[1] ?? '');
  const port = udpPortIn(rule);
  if (ip === undefined || port === undefined) return undefined;
  return { kind: 'clusterIP', ip, protocol: 'udp', port };
}

/** `-p udp -m udp --dport 30053 -j KUBE-EXT-…` */
function nodePortIn(rule: string): Frontend | undefined {
  const port = udpPortIn(rule);
  return port === undefined ? undefined : { kind: 'nodePort', protocol: 'udp', port };
}

function udpPortIn(rule: string): number | undefined {
  const [, port] = /(?:^| )-p udp .*--dport (\d+)(?: |$)/.exec(rule) ?? [];
  return port === undefined ? undefined : Number(port);
}

/** `ip port` of every endpoint that these chains lead to; a chain leads to others of single ServicePorts. */
function endpointsBehind(observed: Rules, first: readonly string[]): readonly string[] {
  const chains = new Set(first);
  const endpoints: string[] = [];
  // A set takes in what is added to it on the way.
  for (const chain of chains) {
    for (const rule of rulesIn(observed, chain)) {
      const target = targetOf(rule);
      if (isServiceChain(target)) chains.add(target);
      else if (target === 'DNAT') endpoints.push(...endpointIn(rule));
    }
  }
  return endpoints;
}

/** `--to-destination 10.1.0.3:53` or `[fd00::3]:53` */
function endpointIn(rule: string): readonly string[] {
  const [, text = '', port] = /--to-destination \[?([0-9a-f.:]+?)\]?:(\d+)(?: |$)/.exec(rule) ?? [];
  const ip: IP | undefined = tryParseIP(text);
  return ip === undefined ? [] : [`${ip} ${port}`];
}

function rulesIn({ rulesOf }: Rules, name: string): readonly string[] {
  return rulesOf(chainKey({ table: 'nat', name })) ?? [];
}
