import { describe, expect, test } from 'vitest';
import { chooseMode } from '../../../../src/proxy/modes/auto.ts';
import type { OpenedMode } from '../../../../src/proxy/modes/mode.ts';
import type { ModeName, RulesKind } from '../../../../src/proxy/modes/names.ts';
import { IoError } from '../../../../src/util/errors.ts';

const OPENED: OpenedMode = {
  kind: 'nftables',
  openSession: () => {
    throw new Error('of no use here');
  },
  listeners: () => [],
  watchDrift: () => ({ close: () => {} }),
};

/** Opens the modes that work, and tells in which order they were tried. */
function node(works: readonly ModeName[]) {
  const tried: ModeName[] = [];
  const open = (mode: ModeName) => {
    tried.push(mode);
    if (!works.includes(mode)) throw new IoError(`no ${mode} here`);
    return OPENED;
  };
  return { tried, open };
}

describe('auto', () => {
  test.each<{
    readonly name: string;
    readonly works: readonly ModeName[];
    readonly recorded: readonly RulesKind[];
    readonly tried: readonly ModeName[];
    readonly reason: string;
  }>([
    {
      name: 'takes the first choice',
      works: ['nftables', 'iptables', 'userspace'],
      recorded: [],
      tried: ['nftables'],
      reason: 'auto: the first choice works',
    },
    {
      name: 'passes over what does not work',
      works: ['ipvs', 'userspace'],
      recorded: [],
      tried: ['nftables', 'iptables', 'ipvs'],
      reason: 'auto: the first that works',
    },
    {
      name: 'stays with what is on record',
      works: ['nftables', 'iptables', 'userspace'],
      recorded: ['iptables-legacy'],
      tried: ['iptables'],
      reason: 'auto: its rules are on this node already, and it works',
    },
    {
      name: 'leaves what is on record when it works no more',
      works: ['nftables', 'userspace'],
      recorded: ['iptables-nft'],
      tried: ['iptables', 'nftables'],
      reason: 'auto: the first that works',
    },
    {
      name: 'takes both variants of one mode for that mode',
      works: ['nftables', 'iptables'],
      recorded: ['iptables-nft', 'iptables-legacy'],
      tried: ['iptables'],
      reason: 'auto: its rules are on this node already, and it works',
    },
    {
      name: 'starts over when a switch was cut short',
      works: ['nftables', 'iptables'],
      recorded: ['nftables', 'iptables-nft'],
      tried: ['nftables'],
      reason: 'auto: the first choice works',
    },
  ])('$name', async ({ works, recorded, tried, reason }) => {
    const { open, tried: seen } = node(works);
    const { choice, opened } = await chooseMode({ open, recorded: new Set(recorded) });
    expect(seen).toEqual(tried);
    expect(choice).toEqual({
      mode: tried.at(-1),
      reason,
      passedOver: tried.slice(0, -1).map((mode) => ({ mode, reason: `no ${mode} here` })),
    });
    expect(opened).toBe(OPENED);
  });

  test('names the reasons of all when none works', async () => {
    const { open } = node([]);
    await expect(chooseMode({ open, recorded: new Set() })).rejects.toThrow(
      /can do none\nnftables: no nftables here\n[\s\S]*userspace: no userspace here$/,
    );
  });
});
