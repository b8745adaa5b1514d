/** The agent's care of what is kept elsewhere: addresses of other IPAM plugins, rules of iptables. */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UpkeepNode } from './cni-upkeep-lab.ts';

let node: UpkeepNode;
beforeEach(() => {
  node = new UpkeepNode();
});
afterEach(async () => {
  await node.stopAgent();
  node.remove();
});

const eager = { graceMs: 0, sweepMs: 100 };

function reserved(): readonly string[] {
  return readdirSync(join(node.dataDir, 'net1')).filter((name) => /^\d/.test(name));
}

test('addresses of a plugin that is executed go back to it when the namespace is gone', async () => {
  const bin = join(node.directory, 'bin');
  mkdirSync(bin);
  copyFileSync('/usr/lib/cni/host-local', join(bin, 'addresses'));
  const ipam = { type: 'addresses', dataDir: node.dataDir, subnet: '10.22.0.0/24' };
  const call = {
    command: 'ADD',
    env: { CNI_PATH: bin },
    stdin: node.conf({ ipam, cniVersion: '1.0.0' }),
  };
  const [lost, kept] = [node.pod(), node.pod()];
  node.result({ ...call, id: 'lost', netns: lost });
  node.result({ ...call, id: 'kept', netns: kept });
  expect(reserved()).toHaveLength(2);
  lost.remove();
  await node.startAgent(eager);
  await node.until(() => node.count('leaked', 'attachment') === 1);
  expect(reserved()).toEqual(['10.22.0.3']);
});

test('addresses that the reference bridge asked us for are free when its pod is gone', async () => {
  const bin = join(node.directory, 'bin');
  mkdirSync(bin);
  const ours = `#!/bin/sh\nWEFT_ARGV0=host-local exec ${node.standalone.join(' ')}\n`;
  writeFileSync(join(bin, 'host-local'), ours, { mode: 0o755 });
  const stdin = node.conf({ type: 'bridge', cniVersion: '1.0.0', isDefaultGateway: true });
  const call = { stdin, env: { CNI_PATH: bin }, plugin: ['/usr/lib/cni/bridge'] };
  const [lost, kept, gone] = [node.pod(), node.pod(), node.pod()];
  node.result({ command: 'ADD', ...call, id: 'lost', netns: lost });
  node.result({ command: 'ADD', ...call, id: 'kept', netns: kept });
  node.result({ command: 'ADD', ...call, id: 'gone', netns: gone });
  node.result({ command: 'DEL', ...call, id: 'gone', netns: gone });
  lost.remove();
  await node.startAgent(eager);
  await node.until(() => node.count('leaked', 'attachment') === 1);
  await node.until(() => node.log.includes('"reason":"namespace"'));
  expect(readdirSync(join(node.dataDir, 'net1')).filter((name) => /^\d|:/.test(name))).toEqual([
    '10.22.0.3',
    'fd22::3',
  ]);
  // What the bridge made for it in iptables is gone, too.
  expect(node.host.run('iptables-save', '-t', 'nat')).not.toContain('lost');
  expect(kept.attempt('ping', ['-c1', '-W1', '10.22.0.1']).status).toBe(0);
});

test('DEL takes the rules of the firewall member, and no agent brings them back', async () => {
  const rules = () => node.host.run('iptables', '-S').match(/(?<=: from )\S+/gm) ?? [];
  node.host.run('iptables', '-P', 'FORWARD', 'DROP');
  await node.startAgent({ repairMs: 100 });
  const pods = ['one', 'two'].map((id) => ({ id, pod: node.pod() }));
  for (const { id, pod } of pods) node.attach(pod, id, { firewall: true });
  expect(rules()).toEqual(['10.22.0.2', '10.22.0.3']);
  node.detach('one', pods[0]!.pod);
  expect(rules()).toEqual(['10.22.0.3']);
  const stdin = node.conf({ 'cni.dev/valid-attachments': [] });
  node.result({ command: 'GC', stdin });
  node.host.run('iptables', '-F', 'FORWARD');
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(rules()).toEqual([]);
});

test('rules of whole subnets, which earlier releases made, become those of the pods', async () => {
  node.host.run('iptables', '-P', 'FORWARD', 'DROP');
  node.attach(node.pod(), 'one', { firewall: true });
  const before = node.host.run('iptables', '-S');
  node.host.run('iptables', '-D', 'WEFT-FORWARD', '2');
  for (const direction of ['-s', '-d']) {
    const comment = `weft net1: ${direction === '-s' ? 'from' : 'to'} 10.22.0.0/24`;
    const rule = [direction, '10.22.0.0/24', '-m', 'comment', '--comment', comment, '-j', 'ACCEPT'];
    node.host.run('iptables', '-A', 'WEFT-FORWARD', ...rule);
  }
  await node.startAgent();
  await node.until(() => !node.host.run('iptables', '-S').includes('10.22.0.0/24'), 2_000);
  const sorted = (text: string) => text.split('\n').sort();
  expect(sorted(node.host.run('iptables', '-S'))).toEqual(sorted(before));
});

test('rules of the firewall member come back when somebody has removed them', async () => {
  const rules = () => node.host.run('iptables', '-S').match(/^-A.*$/gm) ?? [];
  node.host.run('iptables', '-P', 'FORWARD', 'DROP');
  node.host.run('ip6tables', '-P', 'FORWARD', 'DROP');
  node.attach(node.pod(), 'one', { firewall: true });
  const before = rules();
  expect(before).toHaveLength(4);
  await node.startAgent();
  node.host.run('iptables', '-F', 'FORWARD');
  await node.until(() => node.count('repaired', 'forwardRules') === 1, 1_000);
  expect(rules()).toEqual(before);
  // Another process's iptables makes the chain anew after everything was flushed.
  node.nft('flush', 'ruleset');
  node.host.run('iptables', '-P', 'FORWARD', 'DROP');
  await node.until(() => rules().length === 4, 2_000);
  expect(rules().sort()).toEqual(before.toSorted());
});

test('so do those of a standalone that the agent has not heard of', async () => {
  const rules = () => node.host.run('iptables', '-S').match(/^-A.*$/gm) ?? [];
  node.host.run('iptables', '-P', 'FORWARD', 'DROP');
  await node.startAgent();
  node.attach(node.pod(), 'one', { firewall: true });
  const before = rules();
  node.host.run('iptables', '-F', 'FORWARD');
  await node.until(() => node.count('repaired', 'forwardRules') === 1, 2_000);
  expect(rules()).toEqual(before);
});
