import type { Cidr } from '../../net/cidr.ts';
import type { KeyPath, Origin } from './document.ts';
import { boolean, fillTable, integer, list, text, type ValuesOf, word } from './setting.ts';
import { SettingsReader } from './settings-reader.ts';

/** Every link that carries IPv6 has at least this (RFC 8200, section 5). */
const LEAST_MTU = 1_280;
const MOST_MTU = 65_535;
/** The runtime reads files that end like this; a hidden one would be overlooked by people. */
const CONFLIST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.conflist$/;

/** The section `fabric` of the agent's file. */
export const FABRIC_SETTINGS = {
  backend: word(
    ['auto', 'host-gw', 'vxlan', 'none'],
    'auto',
    'How packets reach pods of other nodes; auto: routes where the other node is a neighbour, else VXLAN',
    { isLive: true },
  ),
  tunnelPort: integer(8_472, 'UDP port of the tunnel, the same on all nodes', {
    ...{ min: 1, max: 65_535 },
  }),
  // Flannel has 1 and Calico 4096: while one of them is replaced both are there.
  vni: integer(201, 'VXLAN network identifier, the same on all nodes', {
    ...{ min: 1, max: 16_777_215 },
  }),
  probePort: integer(8_473, 'UDP port at which nodes ask each other what arrives; 0 for never', {
    ...{ min: 0, max: 65_535 },
  }),
  mtu: integer(0, 'MTU of pods, 1280 or more; 0 follows the underlay', {
    ...{ min: 0, max: MOST_MTU, shown: '0', isLive: true },
  }),
  clusterCIDRs: list([], 'Networks of all pods', { shown: 'podCIDRs of all Nodes', isLive: true }),
  masquerade: boolean(true, 'Masquerade what pods send out of the cluster', { isLive: true }),
  masqueradeExceptions: list([], 'Networks outside of the cluster that see addresses of pods', {
    isLive: true,
  }),
  masqueradeIPv6: word(
    ['ula', 'all', 'none'],
    'ula',
    'Which IPv6 addresses of pods are masqueraded: unique local ones (fc00::/7), all, or none',
    { isLive: true },
  ),
  manageConflist: boolean(true, "Write the runtime's network configuration"),
  conflistName: text('10-weft.conflist', 'File of cni.confDirectory that is written'),
} as const;

type FabricValues = ValuesOf<typeof FABRIC_SETTINGS>;
type CidrKey = 'clusterCIDRs' | 'masqueradeExceptions';

/** The section with its networks parsed; an `mtu` of 0 follows the underlay. */
export type FabricSettings = Omit<FabricValues, CidrKey> &
  Readonly<Record<CidrKey, readonly Cidr[]>>;

/** Checks a section whose types are right. Throws one ConfigError that lists every wrong field. */
export function resolveFabricSettings(file: Partial<FabricValues>, origin: Origin): FabricSettings {
  // The table is what the type is made of.
  const values = fillTable(FABRIC_SETTINGS, file) as FabricValues;
  const reader = new SettingsReader((path: KeyPath) => origin(['fabric', ...path]));
  reader.limits(FABRIC_SETTINGS, values);
  const { mtu, conflistName } = values;
  if (mtu > 0 && mtu < LEAST_MTU) {
    const why = 'IPv6 needs 1280 on every link (RFC 8200), and a node may get IPv6 at any time';
    reader.problem(['mtu'], `expected 0 or ${LEAST_MTU} to ${MOST_MTU}, found ${mtu}: ${why}`);
  }
  if (!CONFLIST_NAME.test(conflistName)) {
    const found = JSON.stringify(conflistName.slice(0, 80));
    reader.problem(
      ['conflistName'],
      `expected a file name such as 10-weft.conflist, found ${found}`,
    );
  }
  const cidrs = (key: CidrKey) => reader.cidrs([key], values[key]);
  const settings = {
    ...values,
    clusterCIDRs: cidrs('clusterCIDRs'),
    masqueradeExceptions: cidrs('masqueradeExceptions'),
  };
  reader.throwProblems();
  return settings;
}
