import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { conflistLeftovers } from '../../../../src/agent/cleanup/conflist-leftovers.ts';
import {
  earlierConfigurations,
  ownershipOf,
  renderConflist,
} from '../../../../src/agent/fabric/conflist.ts';
import { markedConflists, placeConflist } from '../../../../src/agent/fabric/conflist-file.ts';
import { configDoubts } from '../../../../src/cni/doubts.ts';
import { readNetworkConfigs } from '../../../../src/cni/network-configs.ts';
import { configRefusals } from '../../../../src/cni/refusals.ts';
import { PLUGIN_NAMES } from '../../../../src/cni/registry.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';

const facts = { podCIDRs: [parseCidr('10.244.1.0/24')], mtu: 1450 };
const other = { podCIDRs: [parseCidr('10.244.2.0/24')], mtu: 1430 };

describe('the text', () => {
  test.each([
    ['IPv4', ['10.244.1.0/24'], [[{ subnet: '10.244.1.0/24' }]]],
    ['IPv6', ['fd00:10:244:1::/64'], [[{ subnet: 'fd00:10:244:1::/64' }]]],
    [
      'both families, whichever comes first',
      ['fd00:10:244:1::/64', '10.244.1.0/24'],
      [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]],
    ],
    [
      'several of one family, of which a pod gets one address',
      ['10.244.1.0/24', '10.245.1.0/24'],
      [[{ subnet: '10.244.1.0/24' }, { subnet: '10.245.1.0/24' }]],
    ],
  ])('has a range for each podCIDR: %s', (_name, podCIDRs, ranges) => {
    const text = renderConflist({ podCIDRs: podCIDRs.map((cidr) => parseCidr(cidr)), mtu: 1450 });
    const [plugin] = JSON.parse(text).plugins;
    expect(plugin).toMatchObject({
      ...{ type: 'weft', fabric: true, mtu: 1450, ipMasq: false },
      capabilities: { portMappings: true, bandwidth: true },
      ipam: { ranges },
    });
  });

  test('names another directory of addresses', () => {
    const [plugin] = JSON.parse(renderConflist(facts, { dataDir: '/data' })).plugins;
    expect(plugin.ipam.dataDir).toBe('/data');
  });

  test('lets pods wait for their policies where an agent enforces them', () => {
    const policyOf = (settings: object) =>
      JSON.parse(renderConflist(facts, settings)).plugins[0].policy;
    expect([policyOf({ hasPolicies: true }), policyOf({})]).toEqual([true, undefined]);
  });

  test('is known again, also by other white space, and not once it was changed', () => {
    const text = renderConflist(facts);
    expect(ownershipOf(text)).toBe('ours');
    expect(ownershipOf(JSON.stringify(JSON.parse(text)))).toBe('ours');
    expect(ownershipOf(text.replace('1450', '1400'))).toBe('changed');
    expect(ownershipOf(text.replace('"name"', '"x": 1, "name"'))).toBe('changed');
  });

  test.each(['', '{', '[]', '{}', '{"managedBy": "us"}', '{"managedBy": {"toString": 1}}'])(
    'is not taken for %j',
    (text) => expect(ownershipOf(text)).toBe('foreign'),
  );
});

test('a runtime takes configurations in the order of their names', () => {
  const names = [
    '99-z.conf',
    '10-flannel.conflist',
    '05-a.json',
    '00-readme.txt',
    '10-weft.conflist',
  ];
  expect(earlierConfigurations(names, '10-weft.conflist')).toEqual([
    '05-a.json',
    '10-flannel.conflist',
  ]);
});

describe('the file', () => {
  let parent: string;
  let directory: string;
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'wt-conflist-'));
    directory = join(parent, 'cni/net.d');
  });
  afterEach(() => rmSync(parent, { recursive: true }));
  const name = '10-weft.conflist';
  const place = (text: string, as = name) => placeConflist({ directory, name: as }, text);
  const read = (file = name) => readFileSync(join(directory, file), 'utf8');

  test('is written where there is no directory even, and is one that our plugins take', () => {
    expect(place(renderConflist(facts))).toEqual({ isWritten: true, removed: [], problems: [] });
    expect(readdirSync(directory)).toEqual([name]);
    expect(statSync(join(directory, name)).mode & 0o777).toBe(0o644);
    const configs = readNetworkConfigs(directory);
    expect(configs.map((config) => config.name)).toEqual(['weft']);
    expect([...configRefusals(configs, PLUGIN_NAMES), ...configDoubts(configs)]).toEqual([]);
  });

  test('is replaced when something else belongs into it, and else not touched', () => {
    place(renderConflist(facts));
    const before = statSync(join(directory, name));
    expect(place(renderConflist(facts)).isWritten).toBe(false);
    expect(statSync(join(directory, name)).mtimeMs).toBe(before.mtimeMs);
    expect(place(renderConflist(other)).isWritten).toBe(true);
    expect(read()).toBe(renderConflist(other));
    expect(readdirSync(directory)).toEqual([name]);
  });

  test.each([
    ['of somebody else', '{"name": "net", "plugins": []}', 'is not of weft'],
    ['that is not JSON', 'half', 'is not of weft'],
    ['that somebody changed', renderConflist(facts).replace('1450', '9000'), 'was changed'],
  ])('one %s is left, and told with the cure', (_name, text, words) => {
    place(renderConflist(facts));
    writeFileSync(join(directory, name), text);
    const { isWritten, problems } = place(renderConflist(other));
    expect([isWritten, read()]).toEqual([false, text]);
    expect(problems).toEqual([expect.stringMatching(`${name} ${words}.*fabric.conflistName`)]);
  });

  test('one that comes before ours is told', () => {
    place(renderConflist(facts));
    writeFileSync(join(directory, '05-flannel.conf'), '{}');
    const { isWritten, problems } = place(renderConflist(other));
    expect(isWritten).toBe(true);
    expect(problems).toEqual([expect.stringMatching('05-flannel.conf, which the runtime takes')]);
  });

  test('cleanup takes ours, keeps one that was changed unless forced, and leaves all others', () => {
    place(renderConflist(facts));
    writeFileSync(join(directory, '20-weft.conflist'), renderConflist(facts).replace('1450', '1'));
    writeFileSync(join(directory, '30-other.conflist'), '{}');
    const leftovers = conflistLeftovers(directory);
    expect(leftovers.map(({ text, isNeeded }) => [text, isNeeded])).toEqual([
      [`network configuration ${join(directory, name)}`, false],
      [
        `network configuration ${join(directory, '20-weft.conflist')}, which somebody has changed`,
        true,
      ],
    ]);
    for (const each of leftovers) each.remove();
    expect(readdirSync(directory)).toEqual(['30-other.conflist']);
    expect(conflistLeftovers(join(parent, 'nowhere'))).toEqual([]);
  });

  test('another name takes ours away from the former one, and nobody elses', () => {
    place(renderConflist(facts));
    writeFileSync(join(directory, '20-other.conflist'), '{"name": "other"}');
    const { removed } = place(renderConflist(facts), '00-weft.conflist');
    expect(removed).toEqual([join(directory, name)]);
    expect(existsSync(join(directory, name))).toBe(false);
    const path = join(directory, '00-weft.conflist');
    expect(markedConflists(directory)).toEqual([{ path, owner: 'ours' }]);
    expect(readdirSync(directory)).toEqual(['00-weft.conflist', '20-other.conflist']);
  });
});
