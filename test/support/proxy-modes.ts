/** What tests of the proxy's modes share: one Service, and which rules are on a node. */
import { removeServiceRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import { IPV4, IPV6, type Net } from './flows/net.ts';
import { endpointsOf, sliceOf, webPort } from './flows/objects.ts';
import { enter, installedPrograms, VARIANTS } from './iptables-lab.ts';
import type { TestNetns } from './netns.ts';
import { service } from './proxy-objects.ts';

export const NETS = [IPV4, IPV6] as const;
export const NODE_PORT = 30080;

const nameOf = ({ family }: Net) => `web-${family}`;
export const webService = (net: Net) =>
  service(nameOf(net), net.vip(1), { type: 'NodePort', ...webPort(NODE_PORT) });
export const webSlice = (net: Net) => sliceOf(nameOf(net), endpointsOf(net, 'a', 'b', 'remote'));

/** As a manifest has them. */
export function objectsOf(net: Net): readonly object[] {
  return [
    { apiVersion: 'v1', kind: 'Service', ...webService(net) },
    { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', ...webSlice(net) },
  ];
}

/** Which rules for Services the node has. */
export function kindsOfRules({ run }: TestNetns): readonly string[] {
  const hasTable = /table ip6? weft-proxy/.test(run('nft', 'list', 'tables'));
  const iptables = VARIANTS.filter((variant) =>
    ['ip', 'ip6'].some((family) =>
      /^:KUBE-(?!ROUTER)/m.test(run(`${family}tables-${variant}-save`)),
    ),
  );
  return [...(hasTable ? ['nftables'] : []), ...iptables.map((variant) => `iptables-${variant}`)];
}

const FOREIGN = [
  ['nft', 'add table ip theirs'],
  ['nft', 'add table ip kube-theirs'],
  ...VARIANTS.flatMap((variant) => [
    [`iptables-${variant}`, '-t nat -N THEIRS'],
    [`iptables-${variant}`, '-t nat -A PREROUTING -d 192.0.2.77 -j THEIRS'],
    [`iptables-${variant}`, '-N KUBE-ROUTER-FORWARD'],
    [`iptables-${variant}`, '-A FORWARD -d 192.0.2.77 -j KUBE-ROUTER-FORWARD'],
  ]),
];

/** Chains and tables that a proxy has to leave alone, some of names like its own. */
export function addForeign({ run }: TestNetns): void {
  for (const [command = '', words = ''] of FOREIGN) run(command, ...words.split(' '));
}

function removeForeign({ attempt }: TestNetns): void {
  for (const variant of VARIANTS) {
    for (const table of ['nat', 'filter']) {
      for (const action of ['-F', '-X']) {
        attempt(`iptables-${variant}`, ['-t', table, action]);
      }
    }
  }
  for (const name of ['theirs', 'kube-theirs']) {
    attempt('nft', ['delete', 'table', 'ip', name]);
  }
}

/** Everything that mentions it, of all programs. */
export function foreignRules({ run }: TestNetns): readonly string[] {
  const listings = VARIANTS.map((variant) => run(`iptables-${variant}-save`));
  return [...listings, run('nft', 'list', 'tables')].flatMap((listing) =>
    listing
      .split('\n')
      .filter((line) => /theirs|ROUTER/i.test(line))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, '')),
  );
}

/** Removes the rules of every mode, and what addForeign made. */
export async function clearRules(node: TestNetns): Promise<void> {
  const programs = await installedPrograms([4, 6], enter(node));
  for (const each of programs) await removeServiceRules(each);
  removeForeign(node);
  for (const family of ['ip', 'ip6'])
    node.attempt('nft', ['delete', 'table', family, 'weft-proxy']);
}
