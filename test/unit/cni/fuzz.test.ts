/** Any environment and any stdin: an answer, never a crash, and stdout is JSON or nothing. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runVerb } from '../../../src/cni/call.ts';
import { RUN_STANDALONE } from '../../../src/cni/protocol/frame.ts';
import { FakeNode } from './fake-node.ts';

/** `make fuzz` is the long version. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 2000);

const name = fc.oneof(
  fc.constantFrom('pod-1', 'net', 'eth0', '', '.', '..', 'a/b', 'x'.repeat(16), '\u0000', 'é', ' '),
  fc.string({ maxLength: 20 }),
);
const subnet = fc.constantFrom(
  '10.1.2.0/24',
  '10.1.2.3/24',
  '10.0.0.0/31',
  'fd00::/64',
  '::/0',
  'x',
);
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, true, -1, 1e300, '', [], {}),
);

const ipam = fc.oneof(
  anything,
  fc.record(
    {
      type: fc.constantFrom('host-local', 'static', 'dhcp', '', 5),
      subnet: fc.oneof(subnet, anything),
      ranges: fc.oneof(fc.array(fc.array(fc.record({ subnet }))), anything),
      routes: fc.oneof(fc.array(fc.record({ dst: subnet, gw: name })), anything),
      rangeStart: name,
      dataDir: fc.constantFrom('/nowhere', '', 3),
    },
    { requiredKeys: [] },
  ),
);

const version = fc.constantFrom(
  '0.1.0',
  '0.2.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
  '1.2.0',
  '',
  'x',
);

const config = fc.record(
  {
    cniVersion: fc.oneof(version, anything),
    name: fc.oneof(fc.constant('net'), name, anything),
    type: fc.oneof(
      fc.constantFrom('bridge', 'weft', 'loopback', 'portmap', 'bandwidth', 'tuning', 'nothing'),
      anything,
    ),
    bridge: fc.oneof(name, anything),
    isGateway: fc.oneof(fc.boolean(), anything),
    ipMasq: fc.oneof(fc.boolean(), anything),
    hairpinMode: fc.oneof(fc.boolean(), anything),
    mtu: fc.oneof(fc.integer(), anything),
    vlan: fc.oneof(fc.integer(), anything),
    ipam,
    dns: anything,
    args: anything,
    runtimeConfig: fc.oneof(
      anything,
      fc.record(
        {
          portMappings: fc.oneof(
            fc.array(
              fc.record(
                {
                  hostPort: fc.oneof(fc.integer(), anything),
                  containerPort: fc.oneof(fc.integer(), anything),
                  protocol: fc.oneof(fc.constantFrom('tcp', 'UDP', 'sctp', 'x'), anything),
                  hostIP: fc.oneof(fc.constantFrom('', '0.0.0.0', '::', '10.0.0.1', 'x'), anything),
                },
                { requiredKeys: [] },
              ),
            ),
            anything,
          ),
          bandwidth: anything,
          ips: fc.oneof(fc.array(name), anything),
          mac: fc.oneof(name, anything),
          ipRanges: anything,
        },
        { requiredKeys: [] },
      ),
    ),
    prevResult: anything,
    'cni.dev/valid-attachments': anything,
  },
  { requiredKeys: [] },
);

const stdin = fc.oneof(
  { weight: 6, arbitrary: config.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 1, arbitrary: anything.map((value) => Buffer.from(JSON.stringify(value))) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(config, fc.nat({ max: 400 }))
      .map(([value, cut]) => Buffer.from(JSON.stringify(value).slice(0, cut))),
  },
);

const env = fc.record(
  {
    CNI_COMMAND: fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION') },
      { weight: 1, arbitrary: name },
    ),
    CNI_CONTAINERID: fc.oneof(fc.constant('pod-1'), name),
    CNI_NETNS: fc.oneof(fc.constant('pod'), fc.constantFrom('host', ''), name),
    CNI_IFNAME: fc.oneof(fc.constant('eth0'), name),
    CNI_ARGS: fc.oneof(
      fc.constantFrom('IgnoreUnknown=1;K8S_POD_NAME=a', 'IP=10.1.2.9', '=;'),
      name,
    ),
    CNI_PATH: fc.constantFrom('/nowhere', ''),
    WEFT_ARGV0: fc.oneof(
      fc.constantFrom('weft', 'bridge', 'host-local', 'loopback', 'portmap', 'constructor'),
      name,
    ),
  },
  { requiredKeys: ['CNI_COMMAND'] },
);

test(`${RUNS} random calls are all answered, and only with JSON`, () => {
  fc.assert(
    fc.property(env, stdin, (environment, bytes) => {
      const outcome = runVerb({ env: environment, readStdin: () => bytes }, new FakeNode());
      expect([0, 1, RUN_STANDALONE]).toContain(outcome.exitCode);
      const answer = outcome.stdout === '' ? undefined : JSON.parse(outcome.stdout);
      if (outcome.exitCode === 1) {
        expect(answer).toMatchObject({ code: expect.any(Number), msg: expect.any(String) });
        expect(answer.msg).not.toMatch(/undefined|\[object|is not a function|Cannot read/);
      }
    }),
    { numRuns: RUNS },
  );
}, 600_000);
