/** Ports cut into classes: every port has one, and ranges held are made of whole ones. */
import { expect, test } from 'vitest';
import { portBytes } from '../../../src/nftables/bytes.ts';
import {
  OTHER_PROTOCOLS,
  PortClasses,
  type PortRange,
  restOf,
} from '../../../src/policy/port-classes.ts';
import { Random } from '../../support/policy-random.ts';

const range = (first: number, last = first): PortRange => ({ first, last });

function classAt(classes: PortClasses<string>, protocol: number, port: number): string {
  const at = String.fromCharCode(protocol, 0, 0, 0) + portBytes(port);
  const found = classes.elements().filter(({ key, keyEnd = key }) => key <= at && at <= keyEnd);
  expect(found, `${protocol} ${port}`).toHaveLength(1);
  return found[0]?.data ?? '';
}

test('what no range is about is the rest of its protocol', () => {
  const classes = new PortClasses<string>();
  expect(classes.settle()).toEqual(new Set());
  expect(classAt(classes, 6, 80)).toBe(restOf(6));
  expect(classAt(classes, 132, 0xffff)).toBe(restOf(132));
  for (const protocol of [0, 1, 16, 18, 133, 255]) {
    expect(classAt(classes, protocol, 80)).toBe(OTHER_PROTOCOLS);
  }
});

test('a range that cuts another concerns its users, and nobody else', () => {
  const classes = new PortClasses<string>();
  classes.hold(6, range(80, 90), 'web');
  classes.hold(6, range(443), 'tls');
  classes.hold(17, range(80, 90), 'udp');
  expect(classes.settle()).toEqual(new Set(['web', 'tls', 'udp']));
  classes.hold(6, range(85), 'one');
  expect(classes.settle()).toEqual(new Set(['web', 'one']));
  expect(classes.classesOf(6, range(80, 90))).toHaveLength(3);
  expect(classes.settle()).toBeUndefined();
  classes.release(6, range(85), 'one');
  expect(classes.settle()).toEqual(new Set(['web']));
  expect(classes.classesOf(6, range(80, 90))).toHaveLength(1);
});

test('ranges at random: each port is in a class of exactly the ranges that have it', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = new Random(seed);
    const classes = new PortClasses<string>();
    const ports = [0, 1, 80, 81, 82, 443, 0xfffe, 0xffff];
    const held = Array.from({ length: 5 }, () => {
      const [first = 0, last = 0] = [random.pick(ports), random.pick(ports)].sort((a, b) => a - b);
      return range(first, last);
    });
    for (const [i, each] of held.entries()) classes.hold(6, each, `${i}`);
    classes.settle();
    for (const port of ports) {
      const found = classAt(classes, 6, port);
      for (const each of held) {
        const isInside = each.first <= port && port <= each.last;
        expect(classes.classesOf(6, each).includes(found), `seed ${seed}, ${port}`).toBe(isInside);
      }
    }
  }
});
