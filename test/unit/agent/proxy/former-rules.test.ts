import { describe, expect, test } from 'vitest';
import { FormerRules } from '../../../../src/agent/proxy/former-rules.ts';
import type { IPFamily } from '../../../../src/net/ip.ts';
import { DrainingError } from '../../../../src/proxy/modes/ipvs/cleanup.ts';
import type { RulesKind } from '../../../../src/proxy/modes/names.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

interface Start {
  readonly own: RulesKind;
  readonly recorded: readonly RulesKind[];
}

function lab({ own, recorded }: Start, families: readonly IPFamily[] = [4, 6]) {
  const removed: string[] = [];
  const records: (readonly RulesKind[])[] = [];
  const node = { failure: undefined as Error | undefined };
  const clock = new FakeClock();
  const messages: string[] = [];
  const former = new FormerRules({
    own,
    recorded: new Set(recorded),
    families,
    remove: async (kind, family) => {
      if (node.failure !== undefined) throw node.failure;
      removed.push(`${kind} ${family}`);
      return true;
    },
    record: (kinds) => records.push([...kinds].sort()),
    clock,
    log: createLogger('info', { write: (line: string) => messages.push(JSON.parse(line).msg) }),
  });
  const commit = async (family: IPFamily) => {
    former.committed(family);
    await settled();
  };
  return { former, commit, removed, records, node, clock, messages };
}

const settled = async () => new Promise((resolve) => setImmediate(resolve));

describe('FormerRules', () => {
  const starts: readonly (Start & { name: string; removed: string[]; records: RulesKind[][] })[] = [
    {
      name: 'nothing before',
      own: 'nftables',
      recorded: [],
      removed: [],
      records: [['nftables']],
    },
    {
      name: 'the same before',
      own: 'nftables',
      recorded: ['nftables'],
      removed: [],
      records: [['nftables']],
    },
    {
      name: 'iptables on record',
      own: 'nftables',
      recorded: ['iptables-nft'],
      removed: ['iptables-nft 4', 'iptables-nft 6'],
      records: [['iptables-nft', 'nftables'], ['nftables']],
    },
    {
      name: 'another variant',
      own: 'iptables-legacy',
      recorded: ['iptables-nft'],
      removed: ['nftables 4', 'iptables-nft 4', 'nftables 6', 'iptables-nft 6'],
      records: [['iptables-legacy', 'iptables-nft'], ['iptables-legacy']],
    },
    {
      name: 'tables of ours without a record',
      own: 'iptables-nft',
      recorded: [],
      removed: ['nftables 4', 'nftables 6'],
      records: [['iptables-nft']],
    },
    {
      name: 'a switch that was cut short, and back',
      own: 'nftables',
      recorded: ['nftables', 'iptables-nft'],
      removed: ['iptables-nft 4', 'iptables-nft 6'],
      records: [['iptables-nft', 'nftables'], ['nftables']],
    },
  ];
  test.each(starts)('$name', async ({ removed, records, ...start }) => {
    const { commit, ...seen } = lab(start);
    expect([seen.removed, seen.records]).toEqual([[], records.slice(0, 1)]);
    for (const family of [4, 6, 4] as const) await commit(family);
    expect(seen.removed).toEqual(removed);
    expect([seen.records[0], seen.records.at(-1)]).toEqual([records[0], records.at(-1)]);
  });

  test('a family keeps its former rules until its own first commit, and the record with it', async () => {
    const { commit, removed, records } = lab({ own: 'nftables', recorded: ['iptables-nft'] });
    await commit(6);
    expect([removed, records.at(-1)]).toEqual([['iptables-nft 6'], ['iptables-nft', 'nftables']]);
  });

  test('a failure is told, tried again, and stays on record meanwhile', async () => {
    const { commit, node, clock, ...seen } = lab(
      { own: 'nftables', recorded: ['iptables-legacy'] },
      [4],
    );
    node.failure = new Error('lock held');
    await commit(4);
    expect([seen.removed, seen.records.at(-1), seen.messages]).toEqual([
      [],
      ['iptables-legacy', 'nftables'],
      ['rules of the former mode not removed'],
    ]);
    node.failure = undefined;
    clock.advance(30_000);
    await settled();
    expect([seen.removed, seen.records.at(-1)]).toEqual([['iptables-legacy 4'], ['nftables']]);
  });

  test('what drains is no failure, and is looked at again', async () => {
    const { commit, node, clock, ...seen } = lab(
      { own: 'iptables-nft', recorded: ['ipvs-nft'] },
      [4],
    );
    node.failure = new DrainingError(3);
    await commit(4);
    expect([seen.records.at(-1), new Set(seen.messages)]).toEqual([
      ['iptables-nft', 'ipvs-nft'],
      new Set(['rules of the former mode drain']),
    ]);
    node.failure = undefined;
    clock.advance(30_000);
    await settled();
    expect([seen.removed.includes('ipvs-nft 4'), seen.records.at(-1)]).toEqual([
      true,
      ['iptables-nft'],
    ]);
  });

  test('after close nothing is removed', async () => {
    const { commit, former, node, clock, removed } = lab({
      own: 'nftables',
      recorded: ['iptables-nft'],
    });
    node.failure = new Error('lock held');
    await commit(4);
    node.failure = undefined;
    await former.close();
    clock.advance(60_000);
    await commit(6);
    expect(removed).toEqual([]);
  });
});
