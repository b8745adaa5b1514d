import { describe, expect, test } from 'vitest';
import { frontendKey, frontendsOf } from '../../../../src/proxy/claims.ts';
import { parseService } from '../../../../src/proxy/service.ts';
import { wantText } from '../../../support/flows/flow.ts';
import { modelAnswer, worldOf } from '../../../support/flows/model.ts';
import { IPV4, IPV6 } from '../../../support/flows/net.ts';
import { flowTable } from '../../../support/flows/table.ts';

describe.each([IPV4, IPV6])('IPv$family', (net) => {
  const groups = flowTable(net);
  const keys = groups.flatMap(({ settings, services }) =>
    services
      .flatMap((service) => parseService(service).get(net.family)?.ports ?? [])
      .flatMap(frontendsOf)
      .map((frontend) => `${settings} ${frontendKey(frontend)}`),
  );

  test('no frontend is named twice', () => {
    expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
  });

  describe.each(groups)('$name, $settings', ({ settings, flows }) => {
    const world = worldOf(groups, settings, net);
    test.each(flows)('$name', (flow) => {
      expect(wantText(modelAnswer(world, flow, net))).toBe(wantText(flow.want));
    });
  });
});
