/**
 * scraper.ts COUNT URL...: asks each URL in turn, COUNT times in all, every other time over a new
 * connection; prints how many answers were 200.
 */
import { Agent, get } from 'node:http';

const [count = '0', ...urls] = process.argv.slice(2);
const PARALLEL = 4;
const kept = new Agent({ keepAlive: true, maxSockets: PARALLEL });
let started = 0;
let good = 0;

function scrape(url: string, agent: Agent | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = agent === undefined ? { connection: 'close' } : {};
    get(url, { headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      if (response.statusCode === 200) good++;
      response.resume().on('end', resolve);
    }).on('error', reject);
  });
}

async function work(): Promise<void> {
  while (started < Number(count)) {
    const n = started++;
    await scrape(urls[n % urls.length] ?? '', n % 2 === 0 ? kept : undefined);
  }
}

await Promise.all(Array.from({ length: PARALLEL }, work));
kept.destroy();
process.stdout.write(`${good}\n`);
