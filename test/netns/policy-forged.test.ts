/** Packets that no honest sender makes: what looks like neighbour discovery, or like the node's own. */
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ICMPV6, ipFrame, sendFrames } from '../support/forged-frames.ts';
import { labFacts, openEnforcer, policyChange } from '../support/policy-enforcer.ts';
import { createPolicyLab, type LabParty, type PolicyLab } from '../support/policy-lab.ts';

const ROUTER = '02:ee:00:00:00:01';
const NEIGHBOUR_SOLICITATION = 135;
const TIMES = 5;

let lab: PolicyLab;
let sender: LabParty;
let receiver: LabParty;

beforeAll(async () => {
  lab = await createPolicyLab({ pods: [['x/a', 'x/b']], ports: [80] });
  [sender, receiver] = [lab.party('x/a'), lab.party('x/b')];
  receiver.netns.run('nft', 'add table inet seen');
  receiver.netns.run('nft', 'add chain inet seen c { type filter hook prerouting priority 0; }');
}, 60_000);
afterAll(() => lab?.remove());

beforeEach(() => lab.nodes[0]?.netns.run('nft', 'flush', 'ruleset'));

interface Forged {
  readonly name: string;
  /** What the receiver's namespace counts. */
  readonly rule: string;
  readonly frame: () => Buffer;
}

const cases: readonly Forged[] = [
  {
    name: 'a neighbour solicitation in an IPv4 packet',
    rule: `ip protocol ${ICMPV6}`,
    frame: () =>
      packet(sender.ips[4], ICMPV6, Buffer.from([NEIGHBOUR_SOLICITATION, 0, 0, 0, 1, 2, 3, 4])),
  },
  {
    name: 'a neighbour solicitation that is forwarded',
    rule: `icmpv6 type ${NEIGHBOUR_SOLICITATION} ip6 hoplimit < 255 ip6 saddr fd00::/8`,
    frame: () => {
      const body = Buffer.from([NEIGHBOUR_SOLICITATION, 0, 0, 0, 1, 2, 3, 4]);
      return packet(sender.ips[6], ICMPV6, body);
    },
  },
  {
    name: 'an IPv6 packet with an address of the node',
    rule: 'udp dport 80',
    frame: () => packet(lab.nodes[0]?.ips[6] ?? '', 17, Buffer.from([0x30, 0, 0, 80, 0, 8, 0, 0])),
  },
];

test.each(cases)('$name passes no policy', async ({ rule, frame }) => {
  const seen = () => {
    const listed = receiver.netns.run('nft', 'list', 'chain', 'inet', 'seen', 'c');
    return Number(/packets (\d+)/.exec(listed)?.[1]);
  };
  receiver.netns.run('nft', `flush chain inet seen c; add rule inet seen c ${rule} counter`);
  const node = lab.nodes[0];
  if (node === undefined) throw new Error('no node');
  send(frame());
  // Without policies it does arrive.
  await expect.poll(seen).toBe(TIMES);
  const { enforcer, close } = openEnforcer(node.netns, node.nodeName);
  for (const change of labFacts(lab, 0)) enforcer.apply(change);
  enforcer.apply(
    policyChange(`{kind: NetworkPolicy, metadata: {namespace: x, name: none}, spec: {
      podSelector: {}, policyTypes: [Ingress, Egress]}}`),
  );
  enforcer.setSynced();
  enforcer.commit();
  send(frame());
  await new Promise((resolve) => setTimeout(resolve, 200));
  await close();
  expect(seen()).toBe(TIMES);
});

const FTP = 2_121;
const HELPER = `table inet helped {
  ct helper ftp { type "ftp" protocol tcp
  }
  chain c { type filter hook prerouting priority -100; tcp dport 21 ct helper set "ftp"
  }
}`;
/** Says that it waits at another port, and does. */
const SERVER = `
const net = require('node:net');
const [address] = process.argv.slice(1);
const where = [...address.split('.'), ${FTP >> 8}, ${FTP & 0xff}].join();
net.createServer((socket) => {
  socket.on('error', () => {});
  socket.write('220 ready\\r\\n');
  socket.once('data', () => socket.write('227 Entering Passive Mode (' + where + ')\\r\\n'));
}).listen(21, () => net.createServer(() => {}).listen(${FTP}, () => console.log('ready')));`;
const CLIENT = `
const net = require('node:net');
const [address] = process.argv.slice(1);
const control = net.connect(21, address);
control.on('data', (data) => {
  if (data.toString().startsWith('220')) return void control.write('PASV\\r\\n');
  const other = net.connect(${FTP}, address);
  const end = (what) => { console.log(what); process.exit(); };
  other.on('connect', () => end('connected')).on('error', ({ code }) => end(code));
});`;

test('a connection that another one announces is judged by itself', async () => {
  const node = lab.nodes[0];
  if (node === undefined) throw new Error('no node');
  node.netns.run('nft', HELPER);
  const server = receiver.netns.start(process.execPath, ['-e', SERVER, receiver.ips[4]]);
  await once(server.stdout!, 'data');
  const { enforcer, close } = openEnforcer(node.netns, node.nodeName);
  try {
    for (const change of labFacts(lab, 0)) enforcer.apply(change);
    const allowing = (...ports: readonly number[]) =>
      policyChange(`{kind: NetworkPolicy, metadata: {namespace: x, name: ports}, spec: {
        podSelector: {}, policyTypes: [Ingress],
        ingress: [{ports: [${ports.map((port) => `{port: ${port}}`).join()}]}]}}`);
    enforcer.apply(allowing(21));
    enforcer.setSynced();
    enforcer.commit();
    const ask = () =>
      sender.netns.attempt(process.execPath, ['-e', CLIENT, receiver.ips[4]], 10_000).stdout.trim();
    expect(ask()).toBe('ECONNREFUSED');
    enforcer.apply(allowing(21, FTP));
    enforcer.commit();
    expect(ask()).toBe('connected');
  } finally {
    await close();
    server.kill('SIGKILL');
  }
});

function send(frame: Buffer): void {
  sendFrames(
    sender.netns,
    Array.from({ length: TIMES }, () => frame),
  );
}

function packet(source: string, protocol: number, body: Buffer): Buffer {
  const destination = source.includes(':') ? receiver.ips[6] : receiver.ips[4];
  const envelope = { from: '02:00:00:00:00:99', to: ROUTER };
  return ipFrame(envelope, { source, destination }, { protocol, body, hopLimit: 64 });
}
