import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { announcementFrame } from '../../../src/kernel/frames.ts';
import { ipFromBytes, parseIP } from '../../../src/net/ip.ts';
import { macFromBytes, parseMac } from '../../../src/net/mac.ts';

const mac = parseMac('02:00:00:00:00:03');

describe('announcementFrame', () => {
  test('IPv4: a broadcast ARP request for the own address', () => {
    expect(announcementFrame(parseIP('10.1.2.3'), mac).toString('hex')).toBe(
      [
        'ffffffffffff' + '020000000003' + '0806',
        '0001' + '0800' + '06' + '04' + '0001',
        '020000000003' + '0a010203',
        '000000000000' + '0a010203',
      ].join(''),
    );
  });

  test('IPv6: an advertisement to all nodes with the override flag', () => {
    expect(announcementFrame(parseIP('fd00::3'), mac).toString('hex')).toBe(
      [
        '333300000001' + '020000000003' + '86dd',
        '60000000' + '0020' + '3a' + 'ff',
        'fd000000000000000000000000000003',
        'ff020000000000000000000000000001',
        '8800' + '5a95' + '20000000',
        'fd000000000000000000000000000003',
        '0201' + '020000000003',
      ].join(''),
    );
  });

  test('the ICMPv6 checksum makes everything add up to all ones', () => {
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
    const six = fc.uint8Array({ minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(sixteen, six, (ip, ethernet) => {
        const frame = announcementFrame(ipFromBytes(ip), macFromBytes(ethernet));
        const summed = Buffer.concat([
          frame.subarray(22, 54),
          Buffer.from([0, 0, 0, 32, 0, 0, 0, 58]),
          frame.subarray(54),
        ]);
        let sum = 0;
        for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
        expect(sum % 0xffff).toBe(0);
      }),
    );
  });
});
