/**
 * Where a mode's verdict is on purpose not that of the flow table. Every entry is asserted with packets
 * as it stands here, so one that differs no more fails; the README of the proxy has the same table.
 */
import { type Want, wantText } from './flow.ts';
import { type FlowRow, nameOf } from './rows.ts';

export const MODES = ['nftables', 'iptables', 'ipvs', 'userspace'] as const;
export type Mode = (typeof MODES)[number];

/** What becomes of the table's verdict, and how people say it. */
export interface Change {
  readonly text: string;
  readonly of: (want: Want) => Want;
}

export interface Difference {
  /** `group: flow`; `*` stands for any text. */
  readonly flows: readonly string[];
  readonly change: Change;
  readonly reason: string;
}

/** Without those on other nodes. */
const ON_THIS_NODE: Change = {
  text: 'endpoints of this node only',
  of: (want) =>
    typeof want === 'string' ? want : want.filter(({ server }) => server !== 'remote'),
};

const REFUSED: Change = { text: 'refused', of: () => 'reject' };
const RESET: Change = { text: 'taken, then reset', of: () => 'reset' };

/** Every endpoint sees an address of the node. */
const FROM_NODE: Change = {
  text: 'the same endpoints, which see the node',
  of: (want) =>
    typeof want === 'string' ? want : want.map(({ server }) => ({ server, source: 'node' })),
};

const DROPPED: Change = { text: 'no answer', of: () => 'drop' };

export const DIFFERENCES: Readonly<Record<Mode, readonly Difference[]>> = {
  nftables: [],
  iptables: [
    {
      flows: [
        'clusterIP: port of another Service',
        'clusterIP: the same from the node',
        'clusterIP: the same from outside',
        'protocols: UDP to a port that is TCP',
      ],
      change: DROPPED,
      reason: 'Other ports of a clusterIP are left to the routing, as with kube-proxy.',
    },
  ],
  ipvs: [
    {
      flows: [
        'externalTrafficPolicy Local: pod to external IP',
        'externalTrafficPolicy Local: pod to load balancer',
        'externalTrafficPolicy Local: pod to NodePort',
        'masquerade matrix: client to NodePort of external-local',
        'masquerade matrix: client to load balancer of external-local',
        'masquerade matrix: node to NodePort of external-local',
        'masquerade matrix: node to load balancer of external-local',
      ],
      change: ON_THIS_NODE,
      reason:
        'A virtual server has one set of destinations for all clients, as with kube-proxy: those that hosts outside may use, if there are any.',
    },
  ],
  userspace: [
    {
      flows: [
        'source ranges: other host',
        'source ranges: other host, other address',
        'source ranges: pod',
        'source ranges: pod, other address',
        'terminating endpoints, policy Local: draining-elsewhere: outside to *',
      ],
      change: RESET,
      reason: 'A process learns of a TCP connection when the kernel has accepted it.',
    },
    {
      flows: ['source ranges: other host, no endpoints', 'internalTrafficPolicy: none-local'],
      change: REFUSED,
      reason: 'Nobody listens where there is no endpoint for anybody, and the kernel says so.',
    },
    {
      flows: ['*'],
      change: FROM_NODE,
      reason: 'The connection to the endpoint is one of the node.',
    },
  ],
};

/** The entry that holds for a flow. */
export function differenceOf(entries: readonly Difference[], row: FlowRow): Difference | undefined {
  return entries.find((each) => isMeant(each, row));
}

/** The verdict of a flow in a mode. */
export function wantIn(mode: Mode, row: FlowRow): Want {
  const { want } = row.flow;
  return differenceOf(DIFFERENCES[mode], row)?.change.of(want) ?? want;
}

/** The flows of its names whose verdict it changes. */
function isMeant({ flows, change }: Difference, row: FlowRow): boolean {
  if (wantText(change.of(row.flow.want)) === wantText(row.flow.want)) return false;
  return flows.some((pattern) => patternOf(pattern).test(nameOf(row)));
}

function patternOf(pattern: string): RegExp {
  const words = pattern.split('*').map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${words.join('.*')}$`);
}

/** The README's table: a line per entry. */
export function differencesTable(): string {
  const lines = MODES.flatMap((mode) =>
    DIFFERENCES[mode].map(({ flows, change, reason }) => {
      const names = flows.map((flow) => `\`${flow}\``).join(', ');
      return `| ${mode} | ${names} | ${change.text} | ${reason} |`;
    }),
  );
  return ['| mode | flows | verdict | why |', '|---|---|---|---|', ...lines].join('\n');
}
