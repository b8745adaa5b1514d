import { expect, test } from 'vitest';
import { vethMacs } from '../../../../src/cni/attachment.ts';
import type { AttachmentRecord } from '../../../../src/cni/attachment-records.ts';
import { macsOf } from '../../../../src/cni/upkeep/sender-ties.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { type Mac, parseMac } from '../../../../src/net/mac.ts';
import { planOf, recordOf } from './builders.ts';

const attachmentOf = (containerId: string) => ({ network: 'net', containerId, ifName: 'eth0' });
const [a, b] = [attachmentOf('a'), attachmentOf('b')];
const [inside, known, asked] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c'].map(
  parseMac,
) as [Mac, Mac, Mac];
const address = parseIP('10.0.0.2');

interface Row {
  readonly name: string;
  readonly allowedMac?: Mac;
  readonly inside?: Mac;
  readonly known?: Mac;
  readonly want: readonly Mac[];
}

test.each<Row>([
  { name: 'that of its ADD', want: [vethMacs(a).pod] },
  { name: 'the one that was asked for', allowedMac: asked, want: [asked] },
  { name: 'that of its end of the pair, too', inside, want: [vethMacs(a).pod, inside] },
  {
    name: 'that of a machine in it, which the node knows',
    inside,
    known,
    want: [vethMacs(a).pod, inside, known],
  },
  {
    name: 'none that another pod was given',
    inside: vethMacs(b).pod,
    known: vethMacs(b).pod,
    want: [vethMacs(a).pod],
  },
])('a running pod may have $name', ({ allowedMac, inside, known, want }) => {
  const made = planOf(a);
  const host = { ...made.host, ...(allowedMac && { allowedMac }) };
  const record: AttachmentRecord = { ...recordOf(a), plan: { ...made, host } };
  const neighbours =
    known === undefined ? [] : [{ link: 2, address, mac: known, isPermanent: false }];
  const plan = record.plan ?? made;
  expect(macsOf({ record, plan }, [record, recordOf(b)], { neighbours }, inside)).toEqual(want);
});
