import { afterAll, beforeAll, expect, test } from 'vitest';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import { type ClusterNode, FabricCluster, reaches } from '../support/fabric-cluster.ts';
import { until } from '../support/until.ts';

/** A cluster of fifty in which nodes come, go, move and reboot while pods talk. */
const NODES = 50;
const LATE = [46, 47, 48, 49, 50];

let cluster: FabricCluster;

beforeAll(async () => {
  cluster = new FabricCluster();
  for (let n = 1; n <= NODES; n++) if (!LATE.includes(n)) cluster.boot(n);
  await cluster.settled();
});

afterAll(() => cluster?.remove());

interface Talk {
  /** Ends it, and gives what ping says. */
  end(): Promise<string>;
}

/** A packet every 2 ms, over the link they share or through the tunnel. */
function talk(from: ClusterNode, address: string): Talk {
  const ping = from.netns.start('ping', ['-i0.002', '-W2', '-n', '-q', address]);
  let output = '';
  ping.stdout?.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const ended = new Promise((resolve) => ping.once('close', resolve));
  return {
    async end() {
      ping.kill('SIGINT');
      await ended;
      return output;
    },
  };
}

/** Who has nothing to do with what happens loses nothing, meanwhile and after. */
async function undisturbed(happen: () => Promise<void>): Promise<void> {
  const [a, b, far] = [1, 2, 3].map((n) => cluster.node(n));
  if (a === undefined || b === undefined || far === undefined) throw new Error('nodes 1 to 3');
  const talks = [b, far].flatMap(({ podAddresses }) =>
    podAddresses.map((address) => talk(a, address)),
  );
  await happen();
  await cluster.settled();
  for (const each of talks) expect(await each.end()).toMatch(/ 0% packet loss/);
}

async function reached(numbers: readonly number[]): Promise<void> {
  await Promise.all(
    numbers.map((n) =>
      until(`node ${n} reaches others and is reached`, async () => {
        const others = [1, 3, 4].map((other) => cluster.node(other));
        const ways = others.flatMap((other) => [
          reaches(other, cluster.node(n)),
          reaches(cluster.node(n), other),
        ]);
        return (await Promise.all(ways)).every(Boolean);
      }),
    ),
  );
}

/** What every node has for others, by what is written there. */
function traces(pattern: RegExp): readonly string[] {
  return cluster.nodes.flatMap(({ name, netns }) =>
    [
      netns.run('ip', 'route', 'show', 'proto', '201'),
      netns.run('ip', '-6', 'route', 'show', 'proto', '201'),
      netns.run('bridge', 'fdb', 'show', 'dev', TUNNEL_NAME),
    ]
      .join('')
      .split('\n')
      .filter((line) => pattern.test(line))
      .map((line) => `${name}: ${line}`),
  );
}

test('each reaches the next', async () => {
  const { nodes } = cluster;
  const pairs = nodes.map((node, i) => [node, nodes[(i + 1) % nodes.length] ?? node] as const);
  for (const [from, to] of pairs) {
    expect(await reaches(from, to), `${from.name} to ${to.name}`).toBe(true);
  }
});

test('nodes join', async () => {
  await undisturbed(async () => {
    for (const n of LATE) cluster.boot(n);
  });
  await reached(LATE);
});

test('nodes get other addresses', async () => {
  const moved = [6, 8, 9];
  await undisturbed(async () => {
    for (const n of moved) cluster.readdress(n, 200 + n);
  });
  await reached(moved);
  expect(traces(/ 192\.0\.\d\.[689] /)).toEqual([]);
});

test('nodes reboot: their peers have nothing to do', async () => {
  const rebooted = [11, 13, 14];
  const writes = () => cluster.node(1).running.fabric.report.writes;
  const before = writes();
  await undisturbed(async () => {
    for (const n of rebooted) await cluster.crash(n);
    for (const n of rebooted) cluster.boot(n);
  });
  await reached(rebooted);
  expect(writes()).toBe(before);
});

test('nodes leave, and nothing of them is left', async () => {
  const left = [16, 18, 19];
  await undisturbed(async () => {
    for (const n of left) await cluster.leave(n);
  });
  expect(traces(/10\.244\.1[689]\.|fd00:1[689]::|192\.0\.\d\.1[689] /)).toEqual([]);
});

test('after all that another look finds nothing to do', async () => {
  const done = () =>
    cluster.nodes.map(({ name, running }) => {
      const { writes, repairs } = running.fabric.report;
      return `${name}: ${writes} ${repairs}`;
    });
  const before = done();
  const looks = cluster.nodes.map(({ running }) => running.fabric.report.settledAtMs ?? 0);
  for (const { running } of cluster.nodes) running.fabric.suspect();
  await until('all have looked', () =>
    cluster.nodes.every(({ running }, i) => {
      return (running.fabric.report.settledAtMs ?? 0) > (looks[i] ?? 0);
    }),
  );
  expect(done()).toEqual(before);
});
