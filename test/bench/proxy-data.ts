/** The data path: new connections, connect time and throughput through each lane, in turns. */
import { type LaneRounds, measureInTurns } from './flow-rounds.ts';
import { directLane, type Lane, type OpenLane, openLane, staticRuleLane } from './proxy-lanes.ts';
import { median } from './statistics.ts';

/** Medians over the rounds of one lane. */
export interface DataRow {
  readonly lane: string;
  readonly connectionsPerSecond: number;
  /** Against both lanes of the static rule, per slice of a round. */
  readonly ofStaticRule: number;
  readonly ofDirect: number;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly gigabitsPerSecond: number;
}

export interface DataOptions {
  /** flows.c, built. */
  readonly flows: string;
  readonly directory: string;
  readonly rounds: number;
  /** Besides pod to pod and the static rule. */
  readonly lanes: readonly Lane[];
  /** Which program the static rule is made with. */
  readonly staticRuleBy?: 'nft' | 'iptables-legacy';
}

const STREAM_ROUNDS = 3;
/** The same twice: how far they are apart is how far equals may be. */
const STATIC_RULES = ['one DNAT rule', 'one DNAT rule, again'];

export async function measureDataPath(options: DataOptions): Promise<readonly DataRow[]> {
  const lanes = [
    directLane,
    ...STATIC_RULES.map((name) => staticRuleLane(name, options.staticRuleBy)),
    ...options.lanes,
  ];
  const open: OpenLane[] = [];
  try {
    for (const lane of lanes) {
      console.error(`data path: ${lane.name}`);
      open.push(await openLane(lane, options.flows, options.directory));
    }
    return await measureLanes(open, options);
  } finally {
    for (const lane of open) await lane.remove();
  }
}

async function measureLanes(
  lanes: readonly OpenLane[],
  { flows, rounds }: DataOptions,
): Promise<readonly DataRow[]> {
  console.error(`data path: ${rounds} rounds`);
  const measured = await measureInTurns(flows, lanes, { connects: rounds, streams: STREAM_ROUNDS });
  return lanes.map(({ name }) => summarizeLane(name, measured));
}

function summarizeLane(lane: string, measured: ReadonlyMap<string, LaneRounds>): DataRow {
  const { connects: own = [], gigabitsPerSecond = [] } = measured.get(lane) ?? {};
  const against = (others: readonly string[]) =>
    median(
      own.map(({ rate }, round) => {
        const rates = others.map(
          (other) => measured.get(other)?.connects[round]?.rate ?? Number.NaN,
        );
        return (rate * rates.length) / rates.reduce((sum, value) => sum + value, 0);
      }),
    );
  return {
    lane,
    connectionsPerSecond: median(own.map(({ rate }) => rate)),
    ofStaticRule: against(STATIC_RULES),
    ofDirect: against([directLane.name]),
    medianUs: median(own.map(({ medianUs }) => medianUs)),
    p99Us: median(own.map(({ p99Us }) => p99Us)),
    gigabitsPerSecond: median(gigabitsPerSecond),
  };
}
