/** The library against the kernel: transactions, errors, listing, the applier and the monitor. */
import { closeSync, openSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ipFromBigInt, parseIP } from '../../src/net/ip.ts';
import { TableApplier } from '../../src/nftables/applier.ts';
import { ipBytes, portBytes, protocolBytes, u32Bytes } from '../../src/nftables/bytes.ts';
import { NftablesConnection, NftablesError } from '../../src/nftables/connection.ts';
import { markedTable } from '../../src/nftables/digest.ts';
import { numgenRandom } from '../../src/nftables/generators.ts';
import type { NamedSet, Table, TableDefinition } from '../../src/nftables/model.ts';
import { type TableEvent, watchTables } from '../../src/nftables/monitor.ts';
import { ip, meta, th } from '../../src/nftables/selectors.ts';
import {
  accept,
  counter,
  dnatToMap,
  goTo,
  jump,
  lookup,
  updateSet,
  verdictMap,
} from '../../src/nftables/statements.ts';
import { Transaction } from '../../src/nftables/transaction.ts';
import { cpuTimeOf } from '../support/cpu-time.ts';
import { createNetns } from '../support/netns.ts';

const netns = createNetns('nft');
const fd = openSync(netns.path, 'r');
const connection = NftablesConnection.open({ netns: { fd } });
afterAll(() => {
  connection.close();
  closeSync(fd);
  netns.remove();
});

const table: Table = { family: 'ip', name: 'weft-test' };
const key = [ip.daddr, meta.l4proto, th.dport];
const services: NamedSet = { name: 'service-ips', key, data: 'verdict', hasCounters: true };
const endpoints: NamedSet = {
  name: 'endpoints',
  key: [...key, numgenRandom(65_536)],
  data: [ip.daddr, th.dport],
  hasCounters: true,
};
const ranges: NamedSet = { name: 'ranges', key: [ip.saddr], isInterval: true };
const clients: NamedSet = {
  name: 'clients',
  key: [ip.saddr],
  isDynamic: true,
  hasTimeout: true,
  size: 10,
};
const balance = dnatToMap('ip', [...key, numgenRandom(2)], 'endpoints');
const definition: TableDefinition = {
  table,
  sets: [services, endpoints, ranges, clients],
  chains: [
    { name: 'n2', rules: [{ statements: [balance] }] },
    {
      name: 'output',
      base: { type: 'nat', hook: 'output', priority: -100 },
      rules: [
        { statements: [updateSet([ip.daddr], 'clients', { timeoutMs: 60_000 })] },
        { statements: [verdictMap(key, 'service-ips')] },
      ],
    },
  ],
};
const vip = (last: number) =>
  ipBytes(parseIP(`172.30.0.${last}`)) + protocolBytes('tcp') + portBytes(80);
const pod = (last: number) => ipBytes(parseIP(`10.0.0.${last}`)) + portBytes(8080);

beforeEach(() => {
  netns.run('nft', 'flush', 'ruleset');
});

/** The table with its chains and one service of two endpoints. */
function makeTable(): TableApplier {
  const applier = new TableApplier(connection, definition);
  applier.replace({
    elements: [
      { set: 'service-ips', remove: [], add: [{ key: vip(1), data: 'goto n2' }] },
      {
        set: 'endpoints',
        remove: [],
        add: [0, 1].map((slot) => ({ key: vip(1) + u32Bytes(slot), data: pod(slot + 1) })),
      },
    ],
  });
  return applier;
}

describe('errors name the object', () => {
  const rule = (
    chain: string,
    ...statements: Parameters<Transaction['addRule']>[1]['statements']
  ) => new Transaction(table).addRule(chain, { statements });
  const owner = 'of table ip weft-test';
  const rows: [name: string, transaction: () => Transaction, code: string, object: string][] = [
    [
      'a chain that exists',
      () => new Transaction(table).addChain({ name: 'n2', rules: [] }, { isExclusive: true }),
      'EEXIST',
      `chain n2 ${owner}`,
    ],
    [
      'a chain that something leads to',
      () => new Transaction(table).deleteChain('n2'),
      'EBUSY',
      `chain n2 ${owner}`,
    ],
    [
      'a set that a rule uses',
      () => new Transaction(table).deleteSet('endpoints'),
      'EBUSY',
      `set endpoints ${owner}`,
    ],
    [
      'a set that is not there',
      () => rule('n2', lookup([ip.saddr], 'nowhere')),
      'ENOENT',
      `rule 1 added to chain n2 ${owner}`,
    ],
    [
      'a chain that is not there',
      () => rule('n2', counter(), goTo('nowhere')),
      'ENOENT',
      `rule 1 added to chain n2 ${owner}`,
    ],
    [
      'a loop',
      () => new Transaction(table).addRule('n2', { statements: [jump('n2')] }),
      'EMLINK',
      `rule 1 added to chain n2 ${owner}`,
    ],
    [
      'NAT in a filter chain',
      () =>
        new Transaction(table).addChain({
          name: 'bad',
          base: { type: 'filter', hook: 'output', priority: 0 },
          rules: [{ statements: [balance] }],
        }),
      'ENOTSUP',
      `rule 1 added to chain bad ${owner}`,
    ],
    [
      'a verdict to a chain that is not there',
      () =>
        new Transaction(table).addElements(services, [
          { key: vip(2), data: 'goto n2' },
          { key: vip(3), data: 'goto n9' },
        ]),
      'ENOENT',
      `element 172.30.0.3 . tcp . 80 in map service-ips ${owner}`,
    ],
    [
      'a key that has another value',
      () => new Transaction(table).addElements(services, [{ key: vip(1), data: 'drop' }]),
      'EEXIST',
      `element 172.30.0.1 . tcp . 80 in map service-ips ${owner}`,
    ],
    [
      'a key that is not there',
      () =>
        new Transaction(table).deleteElements(endpoints, [
          { key: vip(1) + u32Bytes(0) },
          { key: vip(1) + u32Bytes(7) },
        ]),
      'ENOENT',
      `element 172.30.0.1 . tcp . 80 . 7 in map endpoints ${owner}`,
    ],
    [
      'a key of the wrong length',
      () => new Transaction(table).addElements(endpoints, [{ key: 'abc', data: pod(1) }]),
      'EINVAL',
      `element 0x616263 in map endpoints ${owner}`,
    ],
    [
      'a range in the range of another',
      () =>
        new Transaction(table).addElements(ranges, [
          { key: '\x0a\0\0\0', keyEnd: '\x0a\0\0\xff' },
          { key: '\x0a\0\0\x10', keyEnd: '\x0a\0\x01\xff' },
        ]),
      'EEXIST',
      `element 10.0.0.16-10.0.1.255 in set ranges ${owner}`,
    ],
    [
      'a table that is not there',
      () => new Transaction({ ...table, name: 'nowhere' }).flushChain('x'),
      'ENOENT',
      'chain x of table ip nowhere',
    ],
  ];
  test.each(rows)('%s', (_, transaction, code, object) => {
    makeTable();
    const before = netns.run('nft', 'list', 'ruleset');
    const commit = () => connection.commit(transaction());
    expect(commit).toThrow(NftablesError);
    expect(commit).toThrow(expect.objectContaining({ code, object }));
    expect(netns.run('nft', 'list', 'ruleset')).toBe(before);
  });

  test('a change by somebody else since the generation', () => {
    makeTable();
    const generation = connection.generation();
    const change = new Transaction(table).addRule('n2', { statements: [accept] });
    connection.commit(change, { generation });
    expect(connection.generation()).toBe(generation + 1);
    expect(() => connection.commit(change, { generation })).toThrow(
      expect.objectContaining({ code: 'ERESTART', object: 'transaction on table ip weft-test' }),
    );
    expect(connection.rules(table, 'n2')).toHaveLength(2);
  });

  test('listing what is not there', () => {
    expect(connection.chains(table)).toEqual([]);
    expect(() => connection.elements(table, endpoints)).toThrow(
      expect.objectContaining({
        code: 'ENOENT',
        object: 'elements of set endpoints of table ip weft-test',
      }),
    );
  });
});

describe('transactions', () => {
  test('a key deleted and added in one batch has the new value', () => {
    makeTable();
    const first = { key: vip(1) + u32Bytes(0) };
    connection.commit(
      new Transaction(table)
        .deleteElements(endpoints, [first])
        .addElements(endpoints, [{ ...first, data: pod(9) }]),
    );
    const found = connection.elements(table, endpoints).find(({ key }) => key === first.key);
    expect(found).toEqual({ ...first, data: pod(9), counter: { packets: 0n, bytes: 0n } });
  });

  test('ranges can be deleted one by one', () => {
    makeTable();
    const blocks = [
      { key: '\x0a\0\0\0', keyEnd: '\x0a\0\0\xff' },
      { key: '\x0a\0\x01\0', keyEnd: '\x0a\0\x01\xff' },
      { key: '\x0b\0\0\x01' },
      { key: '\xf0\0\0\0', keyEnd: '\xff\xff\xff\xff' },
    ];
    connection.commit(new Transaction(table).addElements(ranges, blocks));
    expect(connection.elements(table, ranges)).toEqual(blocks);
    connection.commit(new Transaction(table).deleteElements(ranges, blocks.slice(1, 3)));
    expect(connection.elements(table, ranges)).toEqual([blocks[0], blocks[3]]);
  });

  test('one that is only checked takes no effect, and is refused as it would be', () => {
    makeTable();
    const before = { ruleset: netns.run('nft', 'list', 'ruleset'), at: connection.generation() };
    const added = (data: string) =>
      new Transaction(table)
        .addSet({ name: 'checked', key: [ip.daddr] })
        .addElements(services, [{ key: vip(9), data }]);
    connection.check(added('drop'));
    expect(() => connection.check(added('goto absent'))).toThrow(
      'element 172.30.0.9 . tcp . 80 in map service-ips of table ip weft-test: ENOENT',
    );
    const after = { ruleset: netns.run('nft', 'list', 'ruleset'), at: connection.generation() };
    expect(after).toEqual(before);
  });

  test('nothing to do needs no kernel', () => {
    const generation = connection.generation();
    connection.commit(new Transaction({ family: 'ip', name: 'nowhere' }));
    expect(connection.generation()).toBe(generation);
  });
});

test('connections are balanced over the slots and counted', () => {
  makeTable();
  netns.run('ip', 'route', 'replace', 'local', '172.30.0.0/16', 'dev', 'lo');
  netns.run('ip', 'route', 'replace', 'local', '10.0.0.0/24', 'dev', 'lo');
  const attempts = 40;
  // Nobody listens: each attempt is refused at once, after NAT has chosen an endpoint.
  const script = `for i in $(seq ${attempts}); do (exec 3<>/dev/tcp/172.30.0.1/80) 2>/dev/null; done; true`;
  netns.run('bash', '-c', script);
  const counts = connection
    .elements(table, endpoints)
    .map(({ counter }) => Number(counter?.packets));
  expect(connection.elements(table, services)[0]?.counter?.packets).toBe(BigInt(attempts));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(attempts);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  const [client] = connection.elements(table, clients);
  expect(client).toMatchObject({ key: ipBytes(parseIP('172.30.0.1')), timeoutMs: 60_000 });
  expect(client?.expiresMs).toBeLessThanOrEqual(60_000);
});

describe('applier', () => {
  test('makes a table that is not there', () => {
    const applier = new TableApplier(connection, definition);
    expect(applier.observe().isAsDefined).toBe(false);
    applier.replace({ elements: [] });
    const made = applier.observe();
    expect(made.isAsDefined).toBe(true);
    const listed = definition.sets.filter(({ isDynamic }) => isDynamic !== true);
    expect([...made.elements.keys()]).toEqual(listed.map(({ name }) => name));
    expect(made.chains.map(({ name }) => name)).toEqual(['n2', 'output']);
  });

  test('finds a table as it is when it matches, with elements and additional chains', () => {
    makeTable().apply({
      chains: [{ name: 'n7', rules: [{ statements: [accept] }] }],
      elements: [],
    });
    const generation = connection.generation();
    const adopted = new TableApplier(connection, definition).observe();
    expect(adopted).toMatchObject({ isAsDefined: true, isDormant: false, damaged: [] });
    expect(adopted.elements.get('endpoints')).toHaveLength(2);
    expect(adopted.elements.get('service-ips')).toMatchObject([{ key: vip(1), data: 'goto n2' }]);
    expect(adopted.chains.map(({ name }) => name).toSorted()).toEqual(['n2', 'n7', 'output']);
    expect(connection.generation()).toBe(generation);
  });

  const name = `${table.family} ${table.name}`;
  test.each([
    ['a set more', `add set ${name} more { type ipv4_addr; }`],
    ['a base chain more', `add chain ${name} more { type filter hook input priority 0; }`],
    [
      'a set of another type',
      `delete set ${name} ranges\nadd set ${name} ranges { type inet_service; flags interval; }`,
    ],
    ['a policy', `add chain ${name} output { policy drop; }`],
    ['an object more', `add counter ${name} more`],
    ['another comment', `delete table ${name}\nadd table ${name} { comment "other"; }`],
  ])('replaces a table with %s', (_, script) => {
    makeTable();
    netns.run('bash', '-c', `printf '%s' '${script}' | nft -f -`);
    const applier = new TableApplier(connection, definition);
    expect(applier.observe().isAsDefined).toBe(false);
    applier.replace({ elements: [] });
    expect(applier.observe().isAsDefined).toBe(true);
    expect(connection.elements(table, endpoints)).toEqual([]);
  });

  test.each([
    ['a rule more', `add rule ${name} n2 counter`, ['n2']],
    ['a rule less', `flush chain ${name} n2`, ['n2']],
    ['another rule', `flush chain ${name} n2; add rule ${name} n2 counter`, ['n2']],
    ['a base chain less', `delete chain ${name} output`, ['output']],
  ])('finds what can be put right in place: %s', (_, script, want) => {
    makeTable();
    netns.run('nft', script);
    const applier = new TableApplier(connection, definition);
    const { isAsDefined, damaged } = applier.observe();
    expect([isAsDefined, damaged.map((chain) => chain.name)]).toEqual([true, want]);
    applier.apply({ chains: damaged, elements: [] });
    expect(applier.observe().damaged).toEqual([]);
    expect(connection.elements(table, endpoints)).toHaveLength(2);
  });

  test('a dormant table is noticed, and woken with what is in it', () => {
    const applier = makeTable();
    const before = netns.run('nft', 'list', 'ruleset');
    netns.run('nft', `add table ${name} { flags dormant; }`);
    expect(applier.observe()).toMatchObject({ isAsDefined: true, isDormant: true });
    applier.wake();
    expect(applier.observe()).toMatchObject({ isAsDefined: true, isDormant: false });
    expect(netns.run('nft', 'list', 'ruleset')).toBe(before);
    netns.run('nft', `add table ${name} { flags dormant; }`);
    applier.replace({ elements: [] });
    expect(applier.observe().isDormant).toBe(false);
  });

  test('a table that belongs to another program is not taken for ours, and cannot be replaced', () => {
    const other = NftablesConnection.open({ netns: { fd } });
    const { comment } = markedTable(definition);
    const owned = new Transaction({ ...table, comment: comment ?? '', isOwned: true }).addTable();
    for (const set of definition.sets) owned.addSet(set);
    for (const chain of definition.chains) owned.addChain(chain);
    other.commit(owned);
    const applier = new TableApplier(connection, definition);
    expect(applier.observe().isAsDefined).toBe(false);
    expect(() => applier.replace({ elements: [] })).toThrow('table ip weft-test: EPERM');
    other.close();
    applier.replace({ elements: [] });
  });

  test('a changed definition replaces the table', () => {
    makeTable();
    const changed = {
      ...definition,
      sets: definition.sets.map((set) => ({ ...set, comment: 'new' })),
    };
    expect(new TableApplier(connection, changed).observe().isAsDefined).toBe(false);
  });

  test('chains, elements and removals go in one transaction', () => {
    const applier = makeTable();
    const generation = connection.generation();
    applier.apply({
      chains: [
        { name: 'policy', rules: [{ statements: [counter(), goTo('n1')] }] },
        { name: 'n1', rules: [{ statements: [balance] }] },
      ],
      elements: [
        {
          set: 'service-ips',
          remove: [{ key: vip(1) }],
          add: [
            { key: vip(1), data: 'goto policy' },
            { key: vip(2), data: 'drop' },
          ],
        },
      ],
      removedChains: ['n2'],
    });
    expect(connection.generation()).toBe(generation + 1);
    const verdicts = connection.elements(table, services).map(({ data }) => data);
    expect(verdicts.toSorted()).toEqual(['drop', 'goto policy']);
    const names = connection.chains(table).map((chain) => chain.name);
    expect(names.toSorted()).toEqual(['n1', 'output', 'policy']);
    expect(connection.rules(table, 'policy')).toHaveLength(1);
    applier.apply({ chains: [{ name: 'policy', rules: [] }], elements: [] });
    expect(connection.rules(table, 'policy')).toHaveLength(0);
  });

  test('a set outside the definition is a mistake of the caller', () => {
    const change = { elements: [{ set: 'other', remove: [], add: [] }] };
    expect(() => makeTable().apply(change)).toThrow(RangeError);
  });
});

describe('monitor', () => {
  test('tells who changed which tables', async () => {
    const events: (TableEvent | 'overflow')[] = [];
    const monitor = watchTables({ fd }, (event) => events.push(event));
    try {
      makeTable();
      netns.run('nft', 'add', 'table', 'inet', 'foreign');
      netns.run('nft', 'flush', 'ruleset');
      await vi.waitFor(() => expect(events.length).toBeGreaterThanOrEqual(3), 5000);
    } finally {
      monitor.close();
    }
    const [own, foreign, flush] = events;
    expect(own).toMatchObject({
      tables: new Set(['ip weft-test']),
      byPortId: connection.portId,
    });
    expect(foreign).toMatchObject({ tables: new Set(['inet foreign']), byProcess: 'nft' });
    expect(flush).toMatchObject({ tables: new Set(['ip weft-test', 'inet foreign']) });
    expect(flush).not.toMatchObject({ byPortId: connection.portId });
  });

  test('a transaction of 50,000 elements is one event and loses nothing', async () => {
    const events: (TableEvent | 'overflow')[] = [];
    makeTable();
    const monitor = watchTables({ fd }, (event) => events.push(event));
    try {
      connection.commit(new Transaction(table).addElements(endpoints, manyEndpoints(10_000)));
      await vi.waitFor(() => expect(events.length).toBeGreaterThan(0), 20_000);
    } finally {
      monitor.close();
    }
    expect(events).toMatchObject([{ byPortId: connection.portId }]);
  });
});

/** Five endpoints for each of `count` services. */
function manyEndpoints(count: number) {
  return Array.from({ length: count * 5 }, (_, i) => {
    const service = ipFromBigInt(4, 0xac1f0000n + BigInt(Math.floor(i / 5)));
    const endpoint = ipFromBigInt(4, 0x0a010000n + BigInt(i));
    return {
      key: ipBytes(service) + protocolBytes('tcp') + portBytes(80) + u32Bytes(i % 5),
      data: ipBytes(endpoint) + portBytes(8080),
    };
  });
}

test('50,000 elements are added, listed and changed quickly', async () => {
  makeTable();
  const elements = manyEndpoints(10_000);
  const [first] = elements;
  if (first === undefined) throw new Error('no elements');
  const cpuMsOf = async (work: () => unknown) => (await cpuTimeOf(work)).cpuMs;
  const measured = {
    addMs: await cpuMsOf(() =>
      connection.commit(new Transaction(table).addElements(endpoints, elements)),
    ),
    listMs: await cpuMsOf(() => expect(connection.elements(table, endpoints)).toHaveLength(50_002)),
    changeOneMs: await cpuMsOf(() =>
      connection.commit(
        new Transaction(table).deleteElements(endpoints, [first]).addElements(endpoints, [first]),
      ),
    ),
    deleteMs: await cpuMsOf(() =>
      connection.commit(new Transaction(table).deleteElements(endpoints, elements)),
    ),
  };
  console.log('nftables, 50,000 elements, CPU time:', measured);
  expect(measured.addMs).toBeLessThan(3000);
  expect(measured.listMs).toBeLessThan(3000);
  expect(measured.changeOneMs).toBeLessThan(200);
});
