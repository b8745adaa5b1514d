import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { announce } from '../../src/kernel/announce.ts';
import { type LinkEvent, type LinkTopic, watchLinks } from '../../src/kernel/link-monitor.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { Netns, NodeRtnl } from '../../src/kernel/types.ts';
import { parseIP } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

const NEW_MAC = parseMac('02:00:00:00:00:99');

let node: TestNetns;
let pod: TestNetns;
let nodeNetns: Netns;
let podNetns: Netns;
let host: NodeRtnl;
let inside: NodeRtnl;

beforeAll(() => {
  node = createNetns('node');
  pod = createNetns('pod');
  nodeNetns = netnses.open(node.path);
  podNetns = netnses.open(pod.path);
  host = openRtnl(nodeNetns);
  inside = openRtnl(podNetns);
  connect(
    { netns: node, link: 'vh', addresses: ['10.0.0.1/24', 'fd00::1/64'] },
    { netns: pod, link: 'eth0', addresses: ['10.0.0.2/24', 'fd00::2/64'] },
  );
});

afterAll(() => {
  for (const open of [host, inside, nodeNetns, podNetns]) open.close();
  node.remove();
  pod.remove();
});

function indexOf(rtnl: NodeRtnl, name: string): number {
  const link = rtnl.link(name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link.index;
}

/** Asks until it is so, for at most two seconds. */
async function eventually(isSo: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (isSo()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

describe('announce', () => {
  test.each(['10.0.0.2', 'fd00::2'])('neighbours of %s learn its new MAC', async (address) => {
    const ping = [address.includes(':') ? '-6' : '-4', '-c', '1', '-W', '1', address];
    node.run('ping', ...ping);
    const known = () => node.run('ip', 'neigh', 'show', address, 'dev', 'vh');
    expect(known()).toContain(inside.link('eth0')?.mac);
    const link = indexOf(inside, 'eth0');
    expect(announce(podNetns, [{ link, address: parseIP(address), mac: NEW_MAC }])).toBe(1);
    expect(await eventually(() => known().includes(NEW_MAC))).toBe(true);
  });

  test('the advertisement is one that a packet analyser finds right', async () => {
    const capture = node.start('tcpdump', ['-vvnni', 'vh', '-c', '1', 'icmp6 and ip6[40] == 136']);
    let text = '';
    capture.stdout?.on('data', (part: Buffer) => {
      text += part.toString();
    });
    await new Promise((resolve) => capture.stderr?.once('data', resolve));
    const eth0 = indexOf(inside, 'eth0');
    const isSeen = await eventually(() => {
      announce(podNetns, [{ link: eth0, address: parseIP('fd00::2'), mac: NEW_MAC }]);
      return text !== '';
    });
    expect(isSeen).toBe(true);
    expect(text).toContain('[icmp6 sum ok]');
    expect(text).toMatch(/hlim 255.*fd00::2 > ff02::1.*tgt is fd00::2, Flags \[override\]/s);
  });

  test('a link that is gone keeps no other from being told', () => {
    const links = [4242, indexOf(inside, 'eth0')];
    const address = parseIP('10.0.0.2');
    expect(
      announce(
        podNetns,
        links.map((link) => ({ link, address, mac: NEW_MAC })),
      ),
    ).toBe(1);
  });
});

describe('watchLinks', () => {
  /** What is told while `job` runs and shortly after. */
  async function eventsOf(
    job: () => void,
    isEnough: (events: readonly LinkEvent[]) => boolean,
    topics: readonly LinkTopic[] = ['link', 'address'],
  ): Promise<readonly LinkEvent[]> {
    const events: LinkEvent[] = [];
    const watch = watchLinks(nodeNetns, topics, (batch) => {
      if (batch !== 'overflow') events.push(...batch);
    });
    job();
    expect(await eventually(() => isEnough(events))).toBe(true);
    watch.close();
    return events;
  }

  test('links and addresses come and go', async () => {
    const events = await eventsOf(
      () => {
        host.createBridge({ name: 'brw', mac: parseMac('02:00:00:00:00:01') });
        host.addAddress(indexOf(host, 'brw'), { address: parseIP('10.9.0.1'), prefixLength: 24 });
        host.deleteLink(indexOf(host, 'brw'));
      },
      (seen) => seen.some((event) => event.kind === 'link' && event.isGone),
    );
    const told = events.flatMap((event) => {
      if (event.kind === 'link') return [`${event.isGone ? '-' : '+'}${event.link.name}`];
      if (event.kind !== 'address') return [];
      return [`${event.isGone ? '-' : '+'}${event.address.address}`];
    });
    // The kernel may have given it a link-local address before it is gone.
    const own = told.filter((text) => !text.includes('fe80:'));
    expect([...new Set(own)]).toEqual(['+brw', '+10.9.0.1', '-10.9.0.1', '-brw']);
  });

  test('a port that leaves its bridge is told as a change of the link, not as its end', async () => {
    host.createBridge({ name: 'brp', mac: parseMac('02:00:00:00:00:01') });
    host.createVeth({
      host: { name: 'vp', mac: parseMac('02:00:00:00:00:02') },
      pod: { name: 'ep', mac: parseMac('02:00:00:00:00:03'), netns: podNetns },
      master: indexOf(host, 'brp'),
    });
    const port = indexOf(host, 'vp');
    const events = await eventsOf(
      () => host.changeLink(port, { master: 0 }),
      (seen) =>
        seen.some(
          (event) =>
            event.kind === 'link' && event.link.index === port && event.link.master === undefined,
        ),
    );
    expect(events.filter(({ isGone }) => isGone)).toEqual([]);
    host.deleteLinks([port, indexOf(host, 'brp')]);
  });

  test('addresses only when asked for', async () => {
    const vh = indexOf(host, 'vh');
    const rest = await eventsOf(
      () => {
        host.addAddress(vh, { address: parseIP('10.8.0.1'), prefixLength: 24 });
        host.changeLink(vh, { alias: 'told' });
      },
      (seen) => seen.length > 0,
      ['link'],
    );
    expect(rest.filter(({ kind }) => kind !== 'link')).toEqual([]);
    host.deleteAddress(vh, { address: parseIP('10.8.0.1'), prefixLength: 24 });
  });

  test('lost events are told as overflow', async () => {
    let hasOverflowed = false;
    const watch = watchLinks(nodeNetns, ['link'], (batch) => {
      if (batch === 'overflow') hasOverflowed = true;
    });
    for (let i = 0; i < 1500; i++) host.changeLink(indexOf(host, 'vh'), { alias: `${i}` });
    expect(await eventually(() => hasOverflowed)).toBe(true);
    watch.close();
  });
});
