/** Lists as tables of 80 columns, or of as many as it takes. */

import { type Cidr, cidrFamily } from '../../../net/cidr.ts';
import { formatHostPort } from '../../../net/host-port.ts';
import { type IP, ipFamily } from '../../../net/ip.ts';
import { ageText, counted } from '../../../util/human.ts';
import { type Column, TEXT_WIDTH, tableLines, wrapped } from '../../../util/text-layout.ts';
import type {
  ListedAddress,
  ListedEndpoint,
  ListedNode,
  ListedPath,
  ListedPod,
  NodesAnswer,
} from './values.ts';

export interface ListTextOptions {
  /** Everything, however long the lines get. */
  readonly isWide: boolean;
  readonly nowMs: number;
}

/** Of rows; a table without any is what stands in its place. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { isWide }: Pick<ListTextOptions, 'isWide'>,
): readonly string[] {
  return tableLines(columns, rows, isWide ? Number.POSITIVE_INFINITY : TEXT_WIDTH);
}

const NARROW_PODS: readonly Column[] = [
  { title: 'POD' },
  { title: 'ADDRESSES' },
  { title: 'INTERFACE' },
  { title: 'AGE', isNumber: true },
];
const WIDE_PODS: readonly Column[] = [
  ...NARROW_PODS,
  ...['NETWORK', 'NODE END', 'BRIDGE', 'MTU', 'CONTAINER'].map((title) => ({ title })),
];

/** What `weft pods` prints. */
export function podsText(pods: readonly ListedPod[], options: ListTextOptions): string {
  if (pods.length === 0) return 'no pod of this node is on record\n';
  const rows = pods.flatMap((pod) =>
    pod.interfaces.map((each) => [
      podLabel(pod),
      each.addresses.join(', ') || '-',
      each.isUnfinished ? `${each.name} (ADD or DEL at work)` : each.name,
      ageText(pod.since, options.nowMs),
      ...(options.isWide
        ? [each.network, each.hostInterface, each.bridge ?? '-', String(each.mtu ?? '-')]
        : []),
      ...(options.isWide ? [pod.container] : []),
    ]),
  );
  return lines(table(options.isWide ? WIDE_PODS : NARROW_PODS, rows, options));
}

function podLabel({ namespace, name, container }: ListedPod): string {
  return name === '' ? `container ${container.slice(0, 12)}` : `${namespace}/${name}`;
}

const NARROW_ENDPOINTS: readonly Column[] = ['SERVICE', 'ENDPOINT', 'STATE', 'LEFT OUT'].map(
  (title) => ({ title }),
);
const WIDE_ENDPOINTS: readonly Column[] = [
  ...NARROW_ENDPOINTS,
  ...['NODE', 'ZONE', 'POD'].map((title) => ({ title })),
  { title: 'CONNECTIONS', isNumber: true },
];

/** What `weft endpoints` prints. */
export function endpointsText(
  endpoints: readonly ListedEndpoint[],
  options: ListTextOptions,
): string {
  if (endpoints.length === 0) return 'no endpoint matches\n';
  const rows = endpoints.map((each) => {
    const { namespace, service, portName, node, zone, pod, connections } = each;
    const port = portName === '' ? '' : `:${portName}`;
    return [
      `${namespace}/${service}${port}`,
      `${formatHostPort(each.ip, each.port)}/${each.protocol}`,
      STATES[each.state],
      leftOutText(each),
      ...(options.isWide ? [node ?? '-', zone ?? '-', pod ?? '-', String(connections ?? '-')] : []),
    ];
  });
  return lines(table(options.isWide ? WIDE_ENDPOINTS : NARROW_ENDPOINTS, rows, options));
}

export const STATES: Readonly<Record<ListedEndpoint['state'], string>> = {
  ready: 'ready',
  draining: 'draining',
  notReady: 'not ready',
  terminating: 'terminating',
};

const REASONS: Readonly<Record<NonNullable<ListedEndpoint['leftOut']>, string>> = {
  notReady: 'not ready',
  terminating: 'terminating',
  otherNode: 'other node, policy Local',
  otherZone: 'hints name other zones',
  hintedElsewhere: 'hints name other nodes',
  noWeight: 'weight 0',
  otherFamily: 'Service has no address of its family',
};

const LEFT_OUT_FOR: Readonly<Record<ListedEndpoint['usedBy'], string>> = {
  everybody: '',
  nobody: '',
  cluster: 'for outside: ',
  outside: 'for pods and nodes: ',
};

/** For whom and why; empty for one that everybody is led to. */
export function leftOutText({ usedBy, leftOut }: ListedEndpoint): string {
  return leftOut === undefined ? '' : `${LEFT_OUT_FOR[usedBy]}${REASONS[leftOut]}`;
}

const NARROW_NODES: readonly Column[] = [
  ...['NODE', 'ADDRESS', 'POD CIDR', 'WAY'].map((title) => ({ title })),
  { title: 'MTU', isNumber: true },
  { title: 'PROBED', isNumber: true },
];
const WIDE_NODES: readonly Column[] = [
  ...NARROW_NODES,
  { title: 'OF', isNumber: true },
  { title: 'ROUND TRIP', isNumber: true },
];

/** What `weft nodes` prints: a row for each podCIDR. */
export function nodesText(answer: NodesAnswer, options: ListTextOptions): string {
  const { items, backend, mtu } = answer;
  const rows = items.flatMap((node) => nodeRows(node, mtu, options));
  const size = mtu === undefined ? '' : `, MTU of pods ${mtu}`;
  return lines([
    `back end ${backend}${size}; ${counted(items.length - 1, 'other node')}`,
    ...table(options.isWide ? WIDE_NODES : NARROW_NODES, rows, options),
    ...items.flatMap(({ name, problems }) =>
      problems.flatMap((problem) => note(`${name}: ${problem}`)),
    ),
  ]);
}

function nodeRows(
  { name, isThis, addresses, podCIDRs, way, paths }: ListedNode,
  mtu: number | undefined,
  options: ListTextOptions,
): readonly (readonly string[])[] {
  const cidrs = podCIDRs.length === 0 ? [undefined] : podCIDRs;
  return cidrs.map((cidr) => {
    const path = paths.find(({ target }) => cidr?.startsWith(`${target}/`));
    const own = isThis ? String(mtu ?? '-') : '-';
    return [
      isThis ? `${name} (this)` : name,
      addressFor(cidr, addresses) ?? '-',
      cidr ?? '-',
      way,
      path === undefined ? own : mtuText(path),
      path === undefined ? '-' : ageText(path.probedAt, options.nowMs),
      ...(options.isWide ? [String(path?.wanted ?? '-'), tripText(path)] : []),
    ];
  });
}

/** The one of the podCIDR's family, or any. */
function addressFor(cidr: Cidr | undefined, addresses: readonly IP[]): IP | undefined {
  const ofFamily = addresses.find((ip) => cidr !== undefined && ipFamily(ip) === cidrFamily(cidr));
  return ofFamily ?? addresses[0];
}

function mtuText({ mtu }: ListedPath): string {
  return mtu === 0 ? 'silent' : String(mtu);
}

function tripText(path: ListedPath | undefined): string {
  return path?.roundTripMs === undefined ? '-' : `${path.roundTripMs.toFixed(1)} ms`;
}

const NARROW_ADDRESSES: readonly Column[] = ['ADDRESS', 'HELD BY', 'SINCE', 'UNTIL'].map(
  (title) => ({ title }),
);
const WIDE_ADDRESSES: readonly Column[] = [
  ...NARROW_ADDRESSES,
  ...['NETWORK', 'INTERFACE', 'CONTAINER'].map((title) => ({ title })),
];

/** What `weft ips` prints. Times are UTC; ~ is before a time at which an end was found, and not seen. */
export function addressesText(
  addresses: readonly ListedAddress[],
  options: ListTextOptions,
): string {
  if (addresses.length === 0) return 'no address matches\n';
  const rows = addresses.map((each) => {
    const { ip, pod, container, since, until, isUntilLate, network, interface: name } = each;
    const late = isUntilLate === true ? '~' : '';
    return [
      ip,
      pod ?? `container ${container.slice(0, 12)}`,
      since === undefined ? '-' : timeText(since, options),
      until === undefined ? 'now' : `${late}${timeText(until, options)}`,
      ...(options.isWide ? [network, name ?? '-', container] : []),
    ];
  });
  return lines(table(options.isWide ? WIDE_ADDRESSES : NARROW_ADDRESSES, rows, options));
}

/** `01-02 03:04:05`, UTC. */
function timeText(time: string, { isWide }: ListTextOptions): string {
  return isWide ? `${time.slice(0, 19)}Z` : time.slice(5, 19).replace('T', ' ');
}

/** A line that people should see. */
function note(text: string): readonly string[] {
  return wrapped(text, { first: '! ', next: '  ' });
}

export function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
