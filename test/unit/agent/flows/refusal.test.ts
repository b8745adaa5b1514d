import { expect, test } from 'vitest';
import { refusalOf } from '../../../../src/agent/flows/refusal.ts';
import { readPacketHeaders } from '../../../../src/netlink/packet-headers.ts';

/** From 10.0.0.1 to 10.0.0.2. */
const ipv4 = (protocol: string, more: string) =>
  `450000300000000040${protocol}00000a0000010a000002${more}`;
const FD1 = `fd00${'0'.repeat(27)}1`;
const FD2 = `fd00${'0'.repeat(27)}2`;
const ipv6 = (next: string, more: string) => `600000000000${next}40${FD1}${FD2}${more}`;
const PORTS = '03e80050';
const UNUSED = '000000000000';

const asked = {
  ...{ source: '10.0.0.1', destination: '10.0.0.2', protocol: 17 },
  ...{ sourcePort: 1000, destinationPort: 80 },
};

test.each([
  [
    'a reset',
    ipv4('06', PORTS),
    {
      ...{ source: '10.0.0.2', destination: '10.0.0.1', protocol: 6 },
      ...{ sourcePort: 80, destinationPort: 1000, answer: 'refused' },
    },
  ],
  [
    'port unreachable',
    ipv4('01', `0303${UNUSED}${ipv4('11', PORTS)}`),
    { ...asked, answer: 'refused' },
  ],
  [
    'host unreachable',
    ipv4('01', `0301${UNUSED}${ipv4('11', PORTS)}`),
    { ...asked, answer: 'unreachable' },
  ],
  ['a packet too big', ipv4('01', `0304${UNUSED}${ipv4('11', PORTS)}`), undefined],
  ['an echo request', ipv4('01', `0800${UNUSED}`), undefined],
  ['an error that quotes nothing', ipv4('01', '0303'), undefined],
  [
    'IPv6',
    ipv6('3a', `0104${UNUSED}${ipv6('11', PORTS)}`),
    {
      ...{ source: 'fd00::1', destination: 'fd00::2', protocol: 17 },
      ...{ sourcePort: 1000, destinationPort: 80, answer: 'refused' },
    },
  ],
])('%s', (_name, hex, want) => {
  const headers = readPacketHeaders(Buffer.from(hex, 'hex'));
  expect(headers && refusalOf(headers)).toEqual(want);
});
