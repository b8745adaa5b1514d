import { afterAll, beforeAll, expect, test } from 'vitest';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { macToBytes, parseMac } from '../../src/net/mac.ts';
import { wire } from '../../src/netlink/wire.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { IPV4 } from '../support/flows/net.ts';
import { flowTable } from '../support/flows/table.ts';
import type { TestNetns } from '../support/netns.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { sctpInit } from '../support/sctp.ts';

const PROTOCOL_SCTP = 132;

let lab: ProxyLab;
let proxy: ServiceProxy;

beforeAll(async () => {
  lab = await createProxyLab();
  proxy = lab.proxy({ families: [4] });
  for (const { services, slices } of flowTable(IPV4).filter(({ name }) => name === 'protocols')) {
    for (const object of services) proxy.apply({ kind: 'service', now: object });
    for (const object of slices) proxy.apply({ kind: 'slice', now: object });
  }
  proxy.setSynced();
  await proxy.sync();
});

afterAll(async () => {
  await proxy.stop();
  await lab.remove();
});

/** Where the node sent the association whose first packet went to that address. */
function translated(destination: string): readonly string[] {
  const netns = netnses.open(lab.node.path);
  const conntrack = openConntrack(netns);
  try {
    return conntrack
      .flows({ family: 4, protocol: PROTOCOL_SCTP })
      .filter(({ original }) => original.destination === destination)
      .map(({ reply }) => `${reply.source} ${reply.sourcePort}`);
  } finally {
    conntrack.close();
    netns.close();
  }
}

/** The row of the flow table for which there are no sockets. */
test('SCTP goes to the endpoint of its own port', async () => {
  sendFrame(lab.client, lab.node, sctpInit(IPV4.client, IPV4.vip(4), 53));
  await expect.poll(() => translated(IPV4.vip(4))).toEqual([`${IPV4.remote} 8080`]);
});

function sendFrame(from: TestNetns, to: TestNetns, packet: Buffer): void {
  const link = (netns: TestNetns, name: string) => {
    const [found] = netns.ip<{ ifindex: number; address: string }[]>('link', 'show', 'dev', name);
    if (found === undefined) throw new Error(`no ${name}`);
    return { index: found.ifindex, mac: macToBytes(parseMac(found.address)) };
  };
  const [source, target] = [link(from, 'eth0'), link(to, 'br0')];
  const header = [target.mac, source.mac, Buffer.from([0x08, 0x00])];
  const netns = netnses.open(from.path);
  wire.sendFrames(netns.fd, [source.index], [Buffer.concat([...header, packet])]);
  netns.close();
}
