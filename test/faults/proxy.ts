/**
 * proxy.ts [SECONDS] [SEEDS] [MEDDLE]: the long version of the proxy's fault runs, SECONDS each at 1,000
 * changes per second, for each of SEEDS; exit 1 when the kernel ends up with something else than a cold
 * start, a connection broke or a repair took a second. MEDDLE 1: the kernel refuses transactions and somebody
 * writes into the tables, which makes the agent read them again; 0: nobody does, and what is wrong stays
 * wrong; both: one after the other.
 */
import { playChurn } from './proxy-churn.ts';
import { playAgentKills } from './proxy-kill.ts';
import { seedsOf } from './random.ts';

const SERVICES = 500;
const CHANGES_PER_SECOND = 1000;
const REPAIR_LIMIT_MS = 1000;
/** Most of what there is to repair then. */
const HASHED_SHARE = 0.1;

const [seconds = '60', seeds = '', meddle = 'both'] = process.argv.slice(2);
const phases = meddle === 'both' ? [false, true] : [meddle === '1'];
let hasFailed = false;
for (const seed of seedsOf(seeds)) {
  for (const meddles of phases) {
    const problems = [...(await churn(seed, meddles)), ...(await kill(seed, meddles))];
    for (const problem of problems) console.log(`  ${problem}`);
    hasFailed ||= problems.length > 0;
  }
}
process.exitCode = hasFailed ? 1 : 0;

function commonOf(seed: number) {
  const load = { services: SERVICES, changesPerSecond: CHANGES_PER_SECOND };
  return { seed, seconds: Number(seconds), ...load };
}

async function churn(seed: number, meddles: boolean): Promise<readonly string[]> {
  const faults = meddles
    ? { failureShare: 0.05, meddlesEveryMs: 500 }
    : { failureShare: 0, meddlesEveryMs: Number.POSITIVE_INFINITY };
  const report = await playChurn({ ...commonOf(seed), ...faults });
  console.log(
    `seed ${seed}: ${report.changes} changes, ${report.failures} failures of the kernel, ` +
      `${report.meddlings} meddlings: ${report.differences.length} differences`,
  );
  return report.differences;
}

async function kill(seed: number, meddles: boolean): Promise<readonly string[]> {
  const repairs = meddles ? 5 : 0;
  const report = await playAgentKills({
    ...commonOf(seed),
    repairs,
    hashedShare: HASHED_SHARE,
  });
  const { repairsMs, busyRepairsMs, knocks, broken, differences } = report;
  const slowest = Math.max(0, ...repairsMs, ...busyRepairsMs);
  const failedKnocks = Object.entries(knocks.failures);
  console.log(
    `seed ${seed}: ${report.changes} changes, ${report.kills} agents killed, ` +
      `${broken.length} broken connections, ${knocks.greeted} new ones and ` +
      `${failedKnocks.length} kinds of failure among them, ${differences.length} differences` +
      (meddles
        ? `; flushed ruleset repaired in ${textOf(repairsMs)} ms, under load in ${textOf(busyRepairsMs)} ms`
        : ''),
  );
  return [
    ...differences,
    ...broken,
    ...failedKnocks.map(([failure, count]) => `${count} times ${failure}`),
    ...(slowest < REPAIR_LIMIT_MS ? [] : [`a repair took ${slowest.toFixed(0)} ms`]),
  ];
}

function textOf(times: readonly number[]): string {
  return times.map((ms) => ms.toFixed(0)).join(', ');
}
