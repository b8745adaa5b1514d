/** What was measured of policies, as text. */
import type { PolicyColdRow } from './policy-cold.ts';
import type { PolicyData } from './policy-data.ts';
import type { RevocationRow } from './policy-revoked.ts';
import { table } from './statistics.ts';

const fixed = (value: number, digits = 0) => value.toFixed(digits);
const count = (value: number) => value.toLocaleString('en');

const sizeText = ({ localPods, remotePods, policies }: PolicyColdRow) =>
  `${count(localPods)} + ${count(remotePods)} pods, ${count(policies)} policies`;

export function coldTable(rows: readonly PolicyColdRow[]): string {
  const header = ['elements', 'wall ms', 'CPU ms', 'kernel ms', 'heap MiB'];
  return table(
    ['Cold: local + remote', ...header],
    rows.map((row) => [
      ...[sizeText(row), count(row.elements)],
      ...[row.wallMs, row.cpuMs, row.kernelMs].map((ms) => fixed(ms)),
      fixed(row.heapMiB, 1),
    ]),
  );
}

export function changeTable(rows: readonly PolicyColdRow[]): string {
  return table(
    ['One change', 'with', 'median ms', 'p99 ms', 'kernel ms', 'kernel p99'],
    rows.flatMap((row) =>
      row.changes.map((change) => [
        ...[change.kind, sizeText(row)],
        ...[change.medianMs, change.p99Ms, change.kernelMedianMs, change.kernelP99Ms].map((ms) =>
          fixed(ms, 2),
        ),
      ]),
    ),
  );
}

export function dataTable(data: PolicyData): string {
  const packets = table(
    ['A packet, CPU ns', 'first', 'established'],
    Object.keys(data.firstPacketNs).map((lane) => [
      lane,
      ...[data.firstPacketNs[lane], data.establishedNs[lane]].map((ns = Number.NaN) => fixed(ns)),
    ]),
  );
  const connections = table(
    ['Through a clusterIP', 'connections/s'],
    Object.entries(data.connectionsPerSecond).map(([lane, rate]) => [
      lane,
      count(Math.round(rate)),
    ]),
  );
  const pair = (what: string, ratio: number, equal: number) =>
    `${what}: ${fixed(ratio, 3)}; of two equals: ${fixed(equal, 3)}`;
  const ratios = [
    pair('first packet of conntrack alone', data.firstOfConntrack, data.firstOfEqual),
    pair('established of conntrack alone', data.establishedOfConntrack, data.establishedOfEqual),
    pair('connections of none, by CPU', data.connectionsOfNone, data.connectionsOfEqual),
  ];
  return [packets, connections, ratios.join('\n')].join('\n\n');
}

export function revocationTable(rows: readonly RevocationRow[]): string {
  return table(
    ['Revoked stream', 'bytes before', 'after the commit'],
    rows.map(({ stream, bytesBefore, bytesAfter }) => [
      stream,
      count(bytesBefore),
      count(bytesAfter),
    ]),
  );
}
