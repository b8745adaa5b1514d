/**
 * main.ts [ROUNDS] [SEEDS]: the long version of the kill rounds, for each of SEEDS; exit 1 when anything
 * is left.
 */
import { playKillRounds } from './kill-rounds.ts';
import { seedsOf } from './random.ts';

const BATCH = 100;
const [rounds = '1000', seeds = ''] = process.argv.slice(2);
let hasFailed = false;
for (const seed of seedsOf(seeds)) {
  for (let done = 0; done < Number(rounds); done += BATCH) await playBatch(seed + done, done);
}
process.exitCode = hasFailed ? 1 : 0;

async function playBatch(seed: number, done: number): Promise<void> {
  const count = Math.min(BATCH, Number(rounds) - done);
  const report = await playKillRounds(count, seed);
  console.log(
    `rounds ${done + 1}–${done + count}, seed ${seed}: ${report.killed} calls and ` +
      `${report.agentsKilled} agents killed, ${report.failures.length} wrong answers, ` +
      `${report.leaked.length} leaked`,
  );
  for (const line of [...report.failures, ...report.leaked]) console.log(`  ${line}`);
  hasFailed ||= report.failures.length + report.leaked.length > 0;
}
