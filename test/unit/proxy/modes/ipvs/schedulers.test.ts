import { expect, test } from 'vitest';
import { parseBalancing } from '../../../../../src/proxy/balancing.ts';
import {
  chooseScheduling,
  configuredScheduling,
  schedulingsOf,
} from '../../../../../src/proxy/modes/ipvs/schedulers.ts';
import { parseService } from '../../../../../src/proxy/service.ts';
import { service } from '../../../../support/proxy-objects.ts';

const SCHEDULER = 'weft.dev/ipvs-scheduler';

test.each([
  { configured: '', want: [{ scheduler: 'rr' }] },
  { configured: 'wlc', want: [{ scheduler: 'wlc' }] },
  { configured: 'mh', want: [{ scheduler: 'mh', hashesPort: true }] },
  {
    configured: '',
    annotations: { 'weft.dev/balance': 'source-hash' },
    want: [{ scheduler: 'mh', fallback: true }, { scheduler: 'rr' }],
  },
  {
    configured: 'lc',
    annotations: { 'weft.dev/weights': '10.1.0.3=2' },
    want: [{ scheduler: 'wlc' }, { scheduler: 'lc' }],
  },
  {
    configured: '',
    annotations: { [SCHEDULER]: 'sed', 'weft.dev/weights': '10.1.0.3=2' },
    want: [{ scheduler: 'sed' }, { scheduler: 'wrr' }, { scheduler: 'rr' }],
  },
  {
    configured: '',
    annotations: { [SCHEDULER]: 'sh, port, fallback', 'weft.dev/balance': 'source-hash' },
    want: [{ scheduler: 'sh', fallback: true, hashesPort: true }, { scheduler: 'rr' }],
  },
  { configured: '', annotations: { [SCHEDULER]: 'fastest' }, want: [{ scheduler: 'rr' }] },
])('configured "$configured", annotations $annotations', ({ configured, annotations, want }) => {
  const entry = parseService(service('web', '172.30.0.1', {}, annotations)).get(4);
  const [port] = entry?.ports ?? [];
  expect(port && schedulingsOf(port, configuredScheduling(configured))).toEqual(want);
});

test.each([
  { text: 'fastest', want: 'is "fastest": use one of rr, wrr, lc, wlc' },
  { text: '', want: 'is "": use one of rr' },
  { text: 'rr, port', want: 'has "rr, port": use port and fallback, with sh or mh only' },
  { text: 'mh, sticky', want: 'has "mh, sticky": use port and fallback' },
])('the annotation "$text" is a problem', ({ text, want }) => {
  const parsed = parseBalancing(service('web', '172.30.0.1', {}, { [SCHEDULER]: text }));
  expect(parsed.problems).toEqual([expect.stringContaining(`${SCHEDULER} ${want}`)]);
  expect(parsed.ipvsScheduling).toBeUndefined();
});

test.each([
  { has: ['sed', 'wrr'], want: 'sed' },
  { has: ['wrr'], want: 'wrr' },
  { has: [], want: 'rr' },
])('of a kernel with $has it takes $want', ({ has, want }) => {
  const wanted = ['sed', 'wrr', 'rr'].map((scheduler) => ({ scheduler }));
  const isThere = (scheduler: string) => has.some((each) => each === scheduler);
  expect(chooseScheduling(wanted, isThere).scheduler).toBe(want);
});
