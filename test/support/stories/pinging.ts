import { startIn } from '../workloads.ts';

export interface Pinging {
  /** Ends it, and gives the numbers of those that were never answered. */
  end(): Promise<readonly number[]>;
}

/** Pings an address from a namespace, one every 10 ms. */
export async function startPinging(netnsPath: string, address: string): Promise<Pinging> {
  const words = ['ping', '-i0.01', '-w120', '-W2', '-n', address];
  const ping = await startIn(netnsPath, words, 'ttl=');
  return {
    async end() {
      await ping.end('SIGINT');
      return missing(ping.output());
    },
  };
}

/** Between the first that was answered and the last: those behind it may be on their way. */
function missing(output: string): readonly number[] {
  const answered = new Set(
    Array.from(output.matchAll(/ icmp_seq=(\d+) ttl=/g), ([, n]) => Number(n)),
  );
  const [first, last] = [Math.min(...answered), Math.max(...answered)];
  return Array.from({ length: last - first }, (_, i) => first + i).filter((n) => !answered.has(n));
}
