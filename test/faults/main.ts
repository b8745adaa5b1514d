/** main.ts [ROUNDS] [SEED]: the long version of the kill rounds; exit 1 when anything is left. */
import { playKillRounds } from './kill-rounds.ts';

const BATCH = 100;
const [rounds = '1000', seed = String(Date.now() % 1_000_000)] = process.argv.slice(2);
let hasFailed = false;
for (let done = 0; done < Number(rounds); done += BATCH) {
  const count = Math.min(BATCH, Number(rounds) - done);
  const report = await playKillRounds(count, Number(seed) + done);
  console.log(
    `rounds ${done + 1}–${done + count}, seed ${Number(seed) + done}: ${report.killed} calls and ` +
      `${report.agentsKilled} agents killed, ${report.failures.length} wrong answers, ` +
      `${report.leaked.length} leaked`,
  );
  for (const line of [...report.failures, ...report.leaked]) console.log(`  ${line}`);
  hasFailed ||= report.failures.length + report.leaked.length > 0;
}
process.exitCode = hasFailed ? 1 : 0;
