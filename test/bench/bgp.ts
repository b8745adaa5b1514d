/**
 * bgp.ts [ROUNDS] [DIRECTORY] [NODES]: a cluster whose nodes know each other by two route reflectors, as weft
 * configures BIRD, each in a namespace: how long until the kernels of all nodes are right after a start
 * of all, a node that joins, one that is lost and comes back, ten that reboot at once, a lost reflector.
 * Prints a table and writes bgp.json to DIRECTORY.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { BGP_EVENTS, type BgpTimes, measureBgp } from './bgp-cluster.ts';
import { median, percentile, table } from './statistics.ts';

/** Of issue and design, for 50 nodes; ms. */
const TO_REACH: Partial<Record<keyof BgpTimes, number>> = {
  ...{ join: 1500, loss: 1000, back: 2000, rebootOfTen: 5000 },
};
const MOST_IN_ORDER = 0.99;

const [rounds = '3', resultDirectory = 'bench-results', size = '50'] = process.argv.slice(2);
const runs = await measureBgp(Number(size), Number(rounds));
const row = (event: keyof BgpTimes) => {
  const samples = runs.map((times) => times[event]);
  const numbers = [median(samples), percentile(samples, MOST_IN_ORDER), TO_REACH[event]];
  return [BGP_EVENTS[event], ...numbers.map((ms) => ms?.toFixed(0) ?? '')];
};
// The record has a line for every event.
const events = Object.keys(BGP_EVENTS) as (keyof BgpTimes)[];
const header = [`${size} nodes, 2 reflectors`, 'median, ms', 'longest, ms', 'to reach, ms'];
console.log(`\n${table(header, events.map(row))}`);
mkdirSync(resultDirectory, { recursive: true });
const machine = {
  ...{ cpus: cpus().length, model: cpus()[0]?.model, kernel: release(), load: loadavg()[0] },
};
const results = { machine, nodes: Number(size), runs };
writeFileSync(join(resultDirectory, 'bgp.json'), JSON.stringify(results, undefined, 2));
console.log(`\nwritten to ${resultDirectory}: bgp.json`);
