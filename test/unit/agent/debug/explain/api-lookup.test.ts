import { describe, expect, test } from 'vitest';
import {
  lookUpPod,
  lookUpSelection,
  type ObjectReader,
} from '../../../../../src/agent/debug/explain/api-lookup.ts';
import {
  serviceWithoutPods,
  withFindings,
  withSelection,
} from '../../../../../src/agent/debug/explain/better-causes.ts';
import type { Cause } from '../../../../../src/agent/debug/explain/cause.ts';
import type { ExplainAnswer } from '../../../../../src/agent/debug/explain.ts';
import { parseIP } from '../../../../../src/net/ip.ts';

const SIGNAL = new AbortController().signal;

/** Answers by path; whatever else is asked for is refused. */
function reader(answers: Readonly<Record<string, unknown>>): ObjectReader {
  return {
    read: (path) => {
      const answer = answers[path];
      return answer === undefined ? Promise.reject(new Error('403')) : Promise.resolve(answer);
    },
  };
}

const POD = {
  spec: { containers: [{ ports: [{ name: 'web', containerPort: 8080 }, { containerPort: 9 }] }] },
  status: { podIPs: [{ ip: '10.2.0.2' }, { ip: 'not one' }] },
};
const PODS = '/api/v1/namespaces/ns/pods?limit=1&';

describe('a pod of another node', () => {
  const byName = `${PODS}fieldSelector=metadata.name%3Dweb`;
  test.each([
    {
      name: 'is found by name',
      of: 'ns/web',
      answers: { [byName]: { items: [POD] } },
      want: { ips: ['10.2.0.2'], ports: [{ name: 'web', port: 8080, protocol: 'TCP' }] },
    },
    { name: 'is not there', of: 'ns/web', answers: { [byName]: { items: [] } }, want: undefined },
    { name: 'may not be asked for', of: 'ns/web', answers: {}, want: undefined },
    { name: 'is no pod', of: 'node/a', answers: {}, want: undefined },
  ])('$name', async ({ of, answers, want }) => {
    expect(await lookUpPod(of, reader(answers), SIGNAL)).toEqual(want);
  });
});

test.each([
  { name: 'matches nothing', items: [], want: { selector: 'app=typo', isMatched: false } },
  { name: 'matches pods', items: [POD], want: { selector: 'app=typo', isMatched: true } },
])('a selector $name', async ({ items, want }) => {
  const answers = {
    '/api/v1/namespaces/ns/services?limit=1&fieldSelector=metadata.name%3Dweb': {
      items: [{ spec: { selector: { app: 'typo' } } }],
    },
    [`${PODS}labelSelector=app%3Dtypo`]: { items },
  };
  expect(await lookUpSelection('ns/web', reader(answers), SIGNAL)).toEqual(want);
});

describe('what others know better', () => {
  const answerWith = (cause: Pick<Cause, 'id' | 'seen'>): ExplainAnswer => ({
    explanation: {
      packet: {
        ...{ source: parseIP('10.1.0.2'), destination: parseIP('172.30.0.1') },
        ...{ protocol: 'tcp', port: 80 },
      },
      decisions: [
        {
          ...{ kind: 'frontend', map: 'no-endpoint-services', key: '', frontend: 'clusterIP' },
          servicePort: 'ns/web:http',
        },
      ],
      verdict: { kind: 'reject' },
    },
    ...{ ways: [], pending: 0, outcome: 'refused' },
    causes: [{ effect: 'refuses', direction: 'request', cure: '', ...cause }],
  });

  test.each([
    {
      selection: { selector: 'app=typo', isMatched: false },
      seen: 'selector app=typo of Service ns/web matches no pod',
    },
    {
      selection: { selector: 'app=web', isMatched: true },
      seen: 'pods with the labels of Service ns/web (app=web) have no address yet',
    },
    {
      selection: { selector: '', isMatched: false },
      seen: expect.stringContaining('Service ns/web has no selector'),
    },
  ])('$selection', ({ selection, seen }) => {
    const answer = answerWith({ id: 'no-endpoints', seen: 'the selector of Service ns/web' });
    expect(serviceWithoutPods(answer)).toBe('ns/web');
    expect(withSelection(answer, selection).causes[0]?.seen).toEqual(seen);
  });

  test('who fills the connection table', () => {
    const answer = answerWith({ id: 'conntrack-full', seen: 'full' });
    const finding = { check: 'conntrack-table', concernsTraffic: true, why: '', cure: 'raise it' };
    const full = { ...finding, level: 'failing', seen: '9 of 9, most of them: pod ns/x' } as const;
    expect(withFindings(answer, [full]).causes[0]).toMatchObject({
      seen: full.seen,
      cure: 'raise it',
    });
    expect(withFindings(answer, [{ ...full, level: 'ok' }])).toEqual(answer);
    expect(serviceWithoutPods(answer)).toBeUndefined();
  });
});
