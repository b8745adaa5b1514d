import type { NamedSet } from '../../../nftables/model.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import { AFFINITY_ID, fieldsOf, PORT_KEY, SLOT } from './fields.ts';

/** Sets and maps that a Service may have elements in. */
export type SetName =
  | 'cluster-ips'
  | 'nodeport-ips'
  | 'hairpins'
  | 'service-ips'
  | 'service-nodeports'
  | 'checked-services'
  | 'checked-nodeports'
  | 'source-ranges'
  | 'rejected-sources'
  | 'outside-services'
  | 'outside-nodeports'
  | 'endpoints'
  | 'nodeport-endpoints'
  | 'local-endpoints'
  | 'local-nodeport-endpoints'
  | 'affinity-ids'
  | 'affinity-nodeport-ids'
  | 'affine-endpoints'
  | 'affine-local-endpoints'
  | 'masqueraded-services'
  | 'masqueraded-nodeports'
  | 'no-endpoint-services'
  | 'no-endpoint-nodeports';

/** Those that Services have elements in: verdicts before the slots they lead to. */
export const SERVICE_SETS: readonly SetName[] = [
  'service-ips',
  'service-nodeports',
  'checked-services',
  'checked-nodeports',
  'outside-services',
  'outside-nodeports',
  'rejected-sources',
  'source-ranges',
  'no-endpoint-services',
  'no-endpoint-nodeports',
  'cluster-ips',
  'masqueraded-services',
  'masqueraded-nodeports',
  'hairpins',
  'affinity-ids',
  'affinity-nodeport-ids',
  'affine-endpoints',
  'affine-local-endpoints',
  'endpoints',
  'nodeport-endpoints',
  'local-endpoints',
  'local-nodeport-endpoints',
];

/** Most clients that are remembered at a time, over all Services; beyond it none are added. */
const AFFINITY_SIZE = 1_048_576;

/** All sets of the table; see layout.ts and affinity-rules.ts for what they hold. */
export function tableSets(
  options: Pick<LayoutOptions, 'family' | 'acceptsOnAllAddresses' | 'countsEndpoints'>,
): readonly NamedSet[] {
  const { family, acceptsOnAllAddresses, countsEndpoints = false } = options;
  const { saddr, daddr, addressKey, target } = fieldsOf(family);
  const verdict = (name: SetName, key: NamedSet['key'], hasCounters: boolean) =>
    ({ name, key, data: 'verdict', hasCounters }) as const;
  const slots = (name: SetName, key: NamedSet['key']) =>
    ({ name, key: [...key, SLOT], data: target, hasCounters: countsEndpoints }) as const;
  const sets: (NamedSet & { readonly name: SetName })[] = [
    { name: 'cluster-ips', key: [daddr], comment: 'active clusterIPs' },
    { name: 'hairpins', key: [saddr, daddr], comment: 'pods that may reach themselves' },
    {
      name: 'source-ranges',
      key: [...addressKey, saddr],
      isInterval: true,
      comment: 'clients that may use an address',
    },
    verdict('service-ips', addressKey, true),
    verdict('service-nodeports', PORT_KEY, true),
    verdict('checked-services', addressKey, false),
    verdict('checked-nodeports', PORT_KEY, false),
    verdict('rejected-sources', addressKey, true),
    verdict('outside-services', addressKey, false),
    verdict('outside-nodeports', PORT_KEY, false),
    verdict('masqueraded-services', addressKey, false),
    verdict('masqueraded-nodeports', PORT_KEY, false),
    verdict('no-endpoint-services', addressKey, true),
    verdict('no-endpoint-nodeports', PORT_KEY, true),
    slots('endpoints', addressKey),
    slots('nodeport-endpoints', PORT_KEY),
    slots('local-endpoints', addressKey),
    slots('local-nodeport-endpoints', PORT_KEY),
  ];
  if (!acceptsOnAllAddresses) {
    sets.push({ name: 'nodeport-ips', key: [daddr], comment: 'addresses that accept NodePorts' });
  }
  return [...sets, ...affinitySets(options)];
}

function affinitySets({
  family,
  countsEndpoints = false,
}: Pick<LayoutOptions, 'family' | 'countsEndpoints'>): readonly NamedSet[] {
  const { saddr, addressKey, target } = fieldsOf(family);
  const ids = (name: SetName, key: NamedSet['key']) =>
    ({ name, key, data: [AFFINITY_ID, AFFINITY_ID, saddr, AFFINITY_ID] }) as const;
  const endpoints = (name: SetName) =>
    ({ name, key: [AFFINITY_ID, ...target], hasCounters: countsEndpoints }) as const;
  return [
    {
      name: 'affinity',
      key: [AFFINITY_ID, saddr],
      data: target,
      isDynamic: true,
      hasTimeout: true,
      size: AFFINITY_SIZE,
    },
    ids('affinity-ids', addressKey),
    ids('affinity-nodeport-ids', PORT_KEY),
    endpoints('affine-endpoints'),
    endpoints('affine-local-endpoints'),
  ];
}
