import { expect, test } from 'vitest';
import { type IPFamily, parseIP } from '../../../../src/net/ip.ts';
import type { Frontend } from '../../../../src/proxy/claims.ts';
import { planQuestions } from '../../../../src/proxy/conntrack/questions.ts';

const vip = (ip: string, port: number, protocol: 'udp' | 'tcp' = 'udp'): Frontend => ({
  kind: 'clusterIP',
  ip: parseIP(ip),
  protocol,
  port,
});
const nodePort = (port: number): Frontend => ({ kind: 'nodePort', protocol: 'udp', port });
const destination = (ip: string, port: number) => ({
  destination: parseIP(ip),
  destinationPort: port,
});
const many = (count: number) => Array.from({ length: count }, (_, i) => vip('172.30.0.1', i + 1));

test.each<{ name: string; family?: IPFamily; frontends: readonly Frontend[]; want: unknown }>([
  { name: 'none', frontends: [], want: [] },
  { name: 'an address', frontends: [vip('172.30.0.1', 53)], want: [destination('172.30.0.1', 53)] },
  {
    name: 'each address once',
    frontends: [vip('172.30.0.1', 53), vip('172.30.0.1', 53), vip('172.30.0.2', 53)],
    want: [destination('172.30.0.1', 53), destination('172.30.0.2', 53)],
  },
  {
    name: 'a NodePort, at any address',
    frontends: [nodePort(30053)],
    want: [{ destinationPort: 30053 }],
  },
  {
    name: 'an address whose port is asked for anyway',
    frontends: [vip('172.30.0.1', 30053), nodePort(30053)],
    want: [{ destinationPort: 30053 }],
  },
  {
    name: 'ports only on IPv6',
    family: 6,
    frontends: [vip('fd00::1', 53), vip('fd00::2', 53)],
    want: [{ destinationPort: 53 }],
  },
  { name: 'another protocol', frontends: [vip('172.30.0.1', 80, 'tcp')], want: [] },
])('$name', ({ family = 4, frontends, want }) => {
  const questions = planQuestions(family, 'udp', frontends);
  expect(questions.map(({ original }) => original)).toEqual(want);
  for (const question of questions) expect(question).toMatchObject({ family, protocol: 17 });
});

test('many frontends are one question for all flows of the protocol', () => {
  expect(planQuestions(4, 'udp', many(16))).toHaveLength(16);
  expect(planQuestions(4, 'udp', many(17))).toEqual([{ family: 4, protocol: 17 }]);
  const tcp = [vip('172.30.0.1', 80, 'tcp')];
  expect(planQuestions(4, 'tcp', tcp)).toMatchObject([{ protocol: 6 }]);
  expect(planQuestions(4, 'tcp', tcp, true)).toMatchObject([{ status: { value: 0, mask: 2 } }]);
});
