import { describe, expect, test } from 'vitest';
import { answerFrame, parseQuestion, solicitedNodeMac } from '../../../src/kernel/frames.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { parseMac } from '../../../src/net/mac.ts';

const OWN = parseMac('02:00:00:00:00:01');
/** who-has 192.0.2.100 tell 192.0.2.254 */
const ARP = Buffer.from(
  'ffffffffffff0200000000fe0806' +
    '0001080006040001' +
    '0200000000fec00002fe' +
    '000000000000c0000264',
  'hex',
);
/** Neighbour solicitation of 2001:db8::fe for 2001:db8::100. */
const SOLICITATION = Buffer.from(
  '3333ff0001000200000000fe86dd' +
    '6000000000203aff' +
    '20010db80000000000000000000000fe' +
    'ff0200000000000000000001ff000100' +
    '87000000' +
    '00000000' +
    '20010db8000000000000000000000100' +
    '01010200000000fe',
  'hex',
);

describe('questions', () => {
  test('ARP', () => {
    expect(parseQuestion(ARP)).toEqual({
      ...{ address: '192.0.2.100', asker: '192.0.2.254', askerMac: '02:00:00:00:00:fe' },
    });
  });

  test('neighbour discovery', () => {
    expect(parseQuestion(SOLICITATION)).toEqual({
      ...{ address: '2001:db8::100', asker: '2001:db8::fe', askerMac: '02:00:00:00:00:fe' },
    });
  });

  test('who only looks whether an address is free has none yet', () => {
    const probe = Buffer.from(ARP);
    probe.fill(0, 28, 32);
    expect(parseQuestion(probe)?.asker).toBeUndefined();
  });

  test.each([
    ['an ARP reply', 21, 2],
    ['an advertisement', 54, 136],
    ['what a router has forwarded', 21, 254],
  ])('%s is none', (_, at, value) => {
    const frame = Buffer.from(value === 2 ? ARP : SOLICITATION);
    frame[at] = value;
    expect(parseQuestion(frame)).toBeUndefined();
  });

  test('cut anywhere it is none, or nothing is read past its end', () => {
    for (const frame of [ARP, SOLICITATION]) {
      for (let length = 0; length < frame.length; length++) {
        expect(() => parseQuestion(frame.subarray(0, length))).not.toThrow();
      }
    }
    expect(parseQuestion(ARP.subarray(0, 41))).toBeUndefined();
  });
});

describe('answers', () => {
  const answer = (frame: Buffer) => {
    const question = parseQuestion(frame);
    if (question === undefined) throw new Error('no question');
    return answerFrame(question, OWN).toString('hex');
  };

  test('ARP', () => {
    expect(answer(ARP)).toBe(
      '0200000000fe0200000000010806' +
        '0001080006040002' +
        '020000000001c0000264' +
        '0200000000fec00002fe',
    );
  });

  test('neighbour discovery, to who asked, solicited and overriding', () => {
    const bytes = answer(SOLICITATION);
    expect(bytes.slice(0, 28)).toBe('0200000000fe02000000000186dd');
    expect(bytes.slice(44, 108)).toBe(
      '20010db8000000000000000000000100' + '20010db80000000000000000000000fe',
    );
    expect(bytes.slice(108, 112)).toBe('8800');
    expect(bytes.slice(116, 124)).toBe('60000000');
    expect(bytes.slice(-16)).toBe('0201020000000001');
  });
});

test('the group of solicitations', () => {
  expect(solicitedNodeMac(parseIP('2001:db8::1234:5678'))).toBe('33:33:ff:34:56:78');
});
