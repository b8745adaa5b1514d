/** main.ts [MINUTES] [SEED]: the soak; exit 1 when the agent has kept something. */
import { mib, soak } from './soak.ts';

const [minutes = '10', seed = String(Date.now() % 1_000_000)] = process.argv.slice(2);
const { phases, problems } = await soak(Number(minutes), Number(seed));
for (const { name, seconds, grownBytes } of phases) {
  console.log(
    `${name} in ${seconds.toFixed(0)} s, memory ${grownBytes < 0 ? '' : '+'}${mib(grownBytes)}`,
  );
}
console.log(`seed ${seed}: ${problems.length} problems`);
for (const problem of problems) console.log(`  ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;
