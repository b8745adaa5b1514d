/** Each of the numbered cases is a test whose title has its number, or has a reason not to be one. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CNI_CASES } from './cases.ts';

const ALL = Object.keys(CNI_CASES).map(Number);

/** Cases of programs, runtimes or libraries that are not part of this one. */
const notApplicable: Readonly<Record<number, string>> = {
  27: 'an empty version in a result is that of the configuration: [39]',
  33: 'answers to VERSION are read by runtimes; no plugin asks another one',
  46: 'disableCheck and disableGC are read by libcni, which then calls nobody',
  50: 'lists of networks are validated by libcni; our part is the answer to VERSION: [14]',
  51: 'files of configurations are chosen and merged by libcni',
  55: 'nothing of ours is called inside a foreign namespace: requests go through its sockets',
  120: 'host ports are elements of one table; portmap of iptables is only cleaned up',
  123: 'a pod has no chain; chains of others are removed by one iptables-restore: [63]',
  130: 'there is no ptp plugin',
  135: 'there are no unmanaged bridges: one that is there is used, one that is missing is made',
  140: 'networks of a node are not isolated from each other; that is what policies are for',
  145: 'there are no blackhole routes; metrics of routes are [68], no default route is [78]',
};

const directories = ['unit/cni', 'unit/ipam', 'unit/net', 'unit/kernel', 'netns', 'runtime'];

/** Numbers in the titles of tests and groups of tests. */
function numbersIn(text: string): readonly number[] {
  const titles = text.matchAll(/^\s*(?:(?:test|describe)\b.*|\][^(]*\)\(|'|`|\[|name: ).*$/gm);
  return [...titles].flatMap(([line]) => {
    return [...line.matchAll(/[' `]\[([1-9]\d{0,2}(?:, \d{1,3})*)\](?= |')/g)].flatMap(
      ([, list = '']) => list.split(', ').map(Number),
    );
  });
}

const covered = new Set(
  directories.flatMap((directory) => {
    const path = new URL(`../../${directory}`, import.meta.url).pathname;
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts') && !name.endsWith('checklist.test.ts'))
      .flatMap((name) => numbersIn(readFileSync(`${path}/${name}`, 'utf8')));
  }),
);

test('every case is a test or has a reason not to be one', () => {
  expect(ALL.filter((number) => !covered.has(number) && !(number in notApplicable))).toEqual([]);
});

test('no case is both', () => {
  expect(Object.keys(notApplicable).filter((number) => covered.has(Number(number)))).toEqual([]);
});

test('no title or reason has a number that is none of them', () => {
  const used = [...covered, ...Object.keys(notApplicable).map(Number)];
  expect(used.filter((number) => !(number in CNI_CASES))).toEqual([]);
});
