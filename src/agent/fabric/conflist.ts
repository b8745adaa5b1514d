/** The network configuration of a node that has the fabric, as a text (CNI specification, section 1). */
import { createHash } from 'node:crypto';
import { isJsonObject } from '../../cni/protocol/json.ts';
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { parseJson, prettyJson } from '../../util/json.ts';
import type { FabricFacts } from './facts.ts';

/** What pods are attached to; reservations are kept by this name. */
export const NETWORK_NAME = 'weft';
export const BRIDGE_NAME = 'weft0';

export interface ConflistSettings {
  /** Where host-local keeps addresses; absent: where it does by itself. */
  readonly dataDir?: string;
  /** Pods start only with their policies. */
  readonly hasPolicies?: boolean;
}

/** A runtime takes the highest version that it knows; STATUS is asked from 1.1.0 on. */
const VERSIONS = ['1.0.0', '1.1.0'];

/** A key that no runtime reads, with what tells our file from everybody else's. */
const MARK_KEY = 'managedBy';
const MARK = /^weft agent, which replaces this file while sha256 is ([0-9a-f]{64})$/;

/**
 * One bridge, one range of addresses for each podCIDR, what pods may ask for, and no masquerading: that
 * is the fabric's. Pods wait for the fabric (`fabric`, see src/cni/boot-gate.ts), and where an
 * agent enforces them for their policies.
 */
export function renderConflist(
  { podCIDRs, mtu }: Pick<FabricFacts, 'podCIDRs' | 'mtu'>,
  { dataDir, hasPolicies = false }: ConflistSettings = {},
): string {
  const list = {
    cniVersion: VERSIONS[0],
    cniVersions: VERSIONS,
    name: NETWORK_NAME,
    plugins: [
      {
        type: 'weft',
        fabric: true,
        ...(hasPolicies ? { policy: true } : {}),
        bridge: BRIDGE_NAME,
        isDefaultGateway: true,
        hairpinMode: true,
        ipMasq: false,
        mtu,
        capabilities: { portMappings: true, bandwidth: true },
        ipam: {
          type: 'host-local',
          ranges: rangeSetsOf(podCIDRs),
          ...(dataDir === undefined ? {} : { dataDir }),
        },
      },
    ],
  };
  const mark = `weft agent, which replaces this file while sha256 is ${checksum(list)}`;
  return prettyJson({ [MARK_KEY]: mark, ...list });
}

/** A pod gets one address of each set. */
function rangeSetsOf(podCIDRs: readonly Cidr[]): readonly (readonly { subnet: Cidr }[])[] {
  return ([4, 6] as const)
    .map((family) => podCIDRs.filter((cidr) => cidrFamily(cidr) === family))
    .filter((ofFamily) => ofFamily.length > 0)
    .map((ofFamily) => ofFamily.map((subnet) => ({ subnet })));
}

/** `changed`: it was ours, and somebody has put something else into it since. */
export type Ownership = 'ours' | 'changed' | 'foreign';

/** Whose a configuration is. White space does not count, the order of keys does. */
export function ownershipOf(text: string): Ownership {
  const value = parseJson(text);
  if (!isJsonObject(value)) return 'foreign';
  const { [MARK_KEY]: mark, ...list } = value;
  const [, wanted] = (typeof mark === 'string' && MARK.exec(mark)) || [];
  if (wanted === undefined) return 'foreign';
  return wanted === checksum(list) ? 'ours' : 'changed';
}

function checksum(list: object): string {
  return createHash('sha256').update(JSON.stringify(list)).digest('hex');
}

/** What libcni reads in a directory of configurations (libcni/api.go, ConfFiles). */
const CONFIGURATION = /\.(conf|conflist|json)$/;

/** Names of configurations that a runtime takes before `own`: it takes the first in this order. */
export function earlierConfigurations(names: readonly string[], own: string): readonly string[] {
  return names.filter((name) => CONFIGURATION.test(name) && name < own).sort();
}
