/** IPVS gives the verdicts that the other modes give in test/netns. */
import { afterAll, beforeAll } from 'vitest';
import { IPVS } from '../support/flows/modes.ts';
import { describeFlows } from '../support/flows/suite.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

describeFlows(IPVS, () => lab);
