import { expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { planReload } from '../../../../src/agent/config/reload.ts';

const surroundings = { hostname: 'n1', environment: { KUBERNETES_SERVICE_HOST: '10.0.0.1' } };
const config = (text: string) =>
  resolveAgentConfig({}, [{ path: 'weft.yaml', text }], surroundings);

test('defaults', () => {
  expect(config('').policy).toEqual({
    deniedInside: 'reject',
    waitForPolicies: '5s',
    logDenied: true,
  });
});

test('a component that is not chosen unless it is named', () => {
  expect(config('').components.has('policy')).toBe(false);
  expect(config('components: [cni, policy]').components.has('policy')).toBe(true);
});

test('follows the cluster: there must be one', () => {
  const file = { path: 'weft.yaml', text: 'components: [cni, policy]' };
  const nowhere = { hostname: 'n1', environment: {} };
  expect(() => resolveAgentConfig({}, [file], nowhere)).toThrow('no source of');
});

test.each([
  ['deniedInside: refuse', 'expected one of "reject", "drop"'],
  ['waitForPolicies: 0s', 'expected more than 0s, found 0s'],
  ['waitForPolicies: 90s', 'expected at most 1m, found 90s'],
  ['waitForPolicies: soon', 'duration'],
  ['logDenied: often', 'boolean'],
])('%s is refused with its line', (line, reason) => {
  expect(() => config(`policy:\n  ${line}\n`)).toThrow(/weft\.yaml:2: policy\./);
  expect(() => config(`policy:\n  ${line}\n`)).toThrow(reason);
});

test('a running agent takes all of it over', () => {
  const wanted = config('policy: {deniedInside: drop, waitForPolicies: 2s, logDenied: false}');
  const plan = planReload(config(''), wanted);
  const keys = ['deniedInside', 'waitForPolicies', 'logDenied'].map((key) => `policy.${key}`);
  expect(plan.applied).toEqual(keys);
  expect(plan.kept).toEqual([]);
  expect(plan.config.policy).toEqual(wanted.policy);
});

test('needs the CNI of the same agent', () => {
  expect(() => config('components: [proxy, policy]')).toThrow('policy needs cni beside it');
});
