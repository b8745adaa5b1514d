import { type Cluster, type Pod, plan } from '../support/cluster.ts';

const BOX_WIDTH = 30;
const GAP = 3;

/** Draws the cluster in the terminal: what was built, with the addresses it really has. */
export function drawCluster(
  cluster: Cluster,
  pods: readonly Pod[],
  services: readonly { readonly name: string; readonly text: string }[],
): string {
  const [client4, client6] = plan.client;
  const outside = box('client (outside)', [client4, client6]);
  const router = box('router', [
    ...plan.routerOutside,
    ...plan.routerOnNodes,
    ...(cluster.etcd === undefined ? [] : [`etcd ${cluster.etcd.endpoints.join()}`]),
  ]);
  const nodes = cluster.nodes.map((node) =>
    box(node.name, [
      `eth0  ${node.addresses[0]}`,
      `      ${node.addresses[1]}`,
      'weft: cni, proxy, fabric',
      `cni0 ${node.podCIDRs[0]}`,
      `  │  ${node.podCIDRs[1]}`,
      ...pods.filter((pod) => pod.node === node).flatMap(podLines),
    ]),
  );
  return [
    ...centred(outside),
    ...centred(['│']),
    ...centred(router),
    links(cluster),
    ...sideBySide(nodes),
    '',
    ...services.map(({ name, text }) => `  Service ${name.padEnd(8)} ${text}`),
  ].join('\n');
}

/** From the router down: a link for the nodes beside each other, and one for those behind it. */
function links({ nodes }: Cluster): string {
  const step = BOX_WIDTH + GAP;
  const middle = (i: number) => i * step + (BOX_WIDTH >> 1);
  const line = Array.from(' '.repeat(nodes.length * step));
  const router = (nodes.length * step - GAP) >> 1;
  const last = middle(nodes.length - 1);
  for (let at = middle(0); at <= last; at += 1) line[at] = '─';
  for (const [i, { isFar }] of nodes.entries()) line[middle(i)] = isFar ? '╖' : '┬';
  line[middle(0)] = '┌';
  line[router] = line[router] === '┬' ? '┼' : '┴';
  return line.join('').trimEnd();
}

function podLines(pod: Pod): string[] {
  const [first = '', second = ''] = pod.addresses;
  return [`  ├─ ${pod.name.padEnd(6)} ${first}`, `  │  ${second}`];
}

function box(title: string, lines: readonly string[]): string[] {
  const inside = BOX_WIDTH - 2;
  return [
    `┌ ${title} ${'─'.repeat(inside - title.length - 2)}┐`,
    ...lines.map((line) => `│ ${line.slice(0, inside - 2).padEnd(inside - 2)} │`),
    `└${'─'.repeat(inside)}┘`,
  ];
}

function centred(lines: readonly string[]): string[] {
  const width = BOX_WIDTH * 3 + GAP * 2;
  return lines.map((line) => ' '.repeat(Math.max(0, (width - line.length) >> 1)) + line);
}

function sideBySide(boxes: readonly (readonly string[])[]): string[] {
  const height = Math.max(...boxes.map((lines) => lines.length));
  return Array.from({ length: height }, (_, row) =>
    boxes.map((lines) => (lines[row] ?? '').padEnd(BOX_WIDTH)).join(' '.repeat(GAP)),
  );
}
