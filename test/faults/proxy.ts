/**
 * proxy.ts [SECONDS] [SEED]: the long version of the proxy's fault runs, SECONDS each at 1,000 changes
 * per second; exit 1 when the kernel ends up with something else than a cold start, a connection broke
 * or a repair took a second.
 */
import { playChurn } from './proxy-churn.ts';
import { playAgentKills } from './proxy-kill.ts';

const SERVICES = 500;
const CHANGES_PER_SECOND = 1000;
const REPAIR_LIMIT_MS = 1000;
/** Most of what there is to repair then. */
const HASHED_SHARE = 0.1;

const [seconds = '60', seedText = String(Date.now() % 1_000_000)] = process.argv.slice(2);
const seed = Number(seedText);
const common = {
  seed,
  services: SERVICES,
  seconds: Number(seconds),
  changesPerSecond: CHANGES_PER_SECOND,
};

const churn = await playChurn({ ...common, failureShare: 0.05, meddlesEveryMs: 500 });
console.log(
  `seed ${seed}: ${churn.changes} changes, ${churn.failures} failures of the kernel, ` +
    `${churn.meddlings} meddlings: ${churn.differences.length} differences`,
);
const kills = await playAgentKills({ ...common, repairs: 5, hashedShare: HASHED_SHARE });
const slowest = Math.max(...kills.repairsMs, ...kills.busyRepairsMs);
const failedKnocks = Object.entries(kills.knocks.failures);
console.log(
  `seed ${seed}: ${kills.changes} changes, ${kills.kills} agents killed, ` +
    `${kills.broken.length} broken connections, ${kills.knocks.greeted} new ones and ` +
    `${failedKnocks.length} kinds of failure among them, ${kills.differences.length} differences; ` +
    `flushed ruleset repaired in ${textOf(kills.repairsMs)} ms, under load in ` +
    `${textOf(kills.busyRepairsMs)} ms`,
);
const problems = [
  ...churn.differences,
  ...kills.differences,
  ...kills.broken,
  ...failedKnocks.map(([failure, count]) => `${count} times ${failure}`),
  ...(slowest < REPAIR_LIMIT_MS ? [] : [`a repair took ${slowest.toFixed(0)} ms`]),
];
for (const problem of problems) console.log(`  ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;

function textOf(times: readonly number[]): string {
  return times.map((ms) => ms.toFixed(0)).join(', ');
}
