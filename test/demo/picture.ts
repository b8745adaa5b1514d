import { type Cluster, type Pod, plan } from '../support/cluster.ts';

const BOX_WIDTH = 40;

/** Draws the cluster in the terminal: what was built, with the addresses it really has. */
export function drawCluster(
  cluster: Cluster,
  pods: readonly Pod[],
  services: readonly { readonly name: string; readonly text: string }[],
): string {
  const [client4, client6] = plan.client;
  const outside = box('client (outside)', [client4, client6]);
  const router = box('router', [...plan.routerOutside, ...plan.routerOnNodes]);
  const nodes = cluster.nodes.map((node) =>
    box(node.name, [
      `eth0  ${plan.nodeAddresses(node.number)[0]}`,
      `      ${plan.nodeAddresses(node.number)[1]}`,
      'weft agent: cni, proxy (nftables)',
      `cni0 ┬ ${plan.podCIDRs(node.number)[0]}`,
      `      │ ${plan.podCIDRs(node.number)[1]}`,
      ...pods.filter((pod) => pod.node === node).flatMap(podLines),
    ]),
  );
  return [
    ...centred(outside),
    ...centred(['│']),
    ...centred(router),
    ...centred([`┌${'─'.repeat(BOX_WIDTH)}┴${'─'.repeat(BOX_WIDTH)}┐`]),
    ...sideBySide(nodes),
    '',
    ...services.map(({ name, text }) => `  Service ${name.padEnd(8)} ${text}`),
  ].join('\n');
}

function podLines(pod: Pod): string[] {
  const [first = '', second = ''] = pod.addresses;
  return [`      ├─ ${pod.name.padEnd(6)} ${first}`, `      │         ${second}`];
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
  const width = BOX_WIDTH * 2 + 4;
  return lines.map((line) => ' '.repeat(Math.max(0, (width - line.length) >> 1)) + line);
}

function sideBySide(boxes: readonly (readonly string[])[]): string[] {
  const height = Math.max(...boxes.map((lines) => lines.length));
  return Array.from({ length: height }, (_, row) =>
    boxes.map((lines) => (lines[row] ?? '').padEnd(BOX_WIDTH)).join('    '),
  );
}
