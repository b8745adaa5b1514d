/** Which mode an agent takes, what it says of it, and that a refused start leaves nothing behind. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ModeAgent, pathOf } from '../support/mode-agent.ts';

let agent: ModeAgent;

beforeEach(() => {
  agent = new ModeAgent('auto');
});

afterEach(() => agent.remove());

describe('auto', () => {
  test('takes nftables where nothing was before, and says so', async () => {
    await agent.start('auto');
    expect(agent.status()).toMatchObject({
      isHealthy: true,
      proxy: {
        mode: 'nftables',
        reason: 'auto: the first choice works',
        rules: 'nftables',
        families: [{ family: 4, services: 1, endpoints: 1, pending: 0 }, { family: 6 }],
      },
      source: { kind: 'manifests', isSynced: true },
    });
    expect(agent.ask().stdout).toMatch(
      /^weft \S+ on node-a: healthy\n.*\nproxy {3}mode nftables: auto: the first choice works\n {8}IPv4: 1 Service, 1 endpoint; synced \d+ s ago, nothing pending\n/,
    );
    const chosen = '"mode":"nftables","reason":"auto: the first choice works"';
    await expect.poll(() => agent.log).toContain(chosen);
  });

  test('stays with the rules that are there until they are gone', async () => {
    await agent.start('iptables', { iptablesVariant: 'legacy' });
    await agent.stop();
    await agent.start('auto', { iptablesVariant: 'legacy' });
    expect(agent.status().proxy).toMatchObject({
      mode: 'iptables',
      rules: 'iptables-legacy',
      reason: 'auto: its rules are on this node already, and it works',
    });
    await agent.stop();
    const stopped = agent.ask();
    expect(stopped).toMatchObject({ status: 1 });
    expect(stopped.stdout).toMatch(/^weft: not running\n[\s\S]*the kernel: iptables-legacy;/);
  });

  test('passes over what the node lacks, and tells what it has to leave', async () => {
    await agent.start('iptables', { iptablesVariant: 'legacy' });
    await agent.stop();
    await agent.start('auto', { iptablesVariant: 'legacy' }, ['env', 'PATH=/nowhere']);
    const reason = expect.stringContaining('is not installed on this node');
    expect(agent.status().proxy).toMatchObject({
      mode: 'nftables',
      reason: 'auto: the first that works',
      passedOver: [{ mode: 'iptables', reason }],
      formerRules: ['iptables-legacy'],
    });
  });
});

describe('a mode that the node cannot do', () => {
  const withoutRights = [pathOf('setpriv'), '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
  test.each([
    { mode: 'nftables', prefix: withoutRights, want: /has no CAP_NET_ADMIN; run it as root/ },
    { mode: 'auto', prefix: withoutRights, want: /has no CAP_NET_ADMIN; run it as root/ },
    {
      mode: 'iptables',
      prefix: ['env', 'PATH=/nowhere'],
      want: /not installed on this node: install the package iptables; --proxy-mode auto/,
    },
    { mode: 'ipvs', prefix: [], want: /CONFIG_IP_VS.*; --proxy-mode auto/ },
  ])('$mode $prefix: exit code 1, and nothing is changed', ({ mode, prefix, want }) => {
    const sysctl = () => agent.node.run('sysctl', '-n', 'net.ipv4.ip_forward');
    const rules = () => agent.node.run('nft', 'list', 'ruleset');
    const before = [sysctl(), rules(), agent.node.run('ip', 'addr')];
    const { status, stderr } = agent.runToEnd(mode, prefix);
    expect(stderr).toMatch(want);
    expect(stderr).toContain(`proxy mode ${mode}: `);
    expect(status).toBe(1);
    expect([sysctl(), rules(), agent.node.run('ip', 'addr')]).toEqual(before);
    expect(existsSync(join(agent.runDir, 'proxy-mode'))).toBe(false);
  });
});
