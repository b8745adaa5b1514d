import { expect, test, vi } from 'vitest';
import type { LinkListener, NodeEvents } from '../../../src/kernel/node-events.ts';
import * as rtnl from '../../../src/kernel/rtnl.ts';
import type { LinkAddress } from '../../../src/kernel/types.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { followLocalAddresses } from '../../../src/proxy/local-addresses.ts';
import { FakeClock } from '../../support/fake-clock.ts';

vi.mock('../../../src/kernel/rtnl.ts');

const addressOf = (text: string) => ({ link: 2, address: parseIP(text), prefixLength: 24 });

/** A node whose addresses become these when somebody has just begun to listen. */
function nodeOf(before: readonly string[], after: readonly string[]) {
  let addresses: readonly (LinkAddress & { readonly link: number })[] = before.map(addressOf);
  let tell: LinkListener = () => {};
  vi.mocked(rtnl.openRtnl).mockImplementation(
    () => ({ link: () => undefined, addresses: () => addresses, close: () => {} }) as never,
  );
  const events: Pick<NodeEvents, 'onLinks'> = {
    onLinks: (_, listener) => {
      tell = listener;
      addresses = after.map(addressOf);
      return { close: () => {} };
    },
  };
  return {
    events,
    lose: () => {
      addresses = [];
      tell('overflow');
    },
  };
}

test('what changes while the watch is opened is not missed', () => {
  const { events } = nodeOf(['10.0.0.1'], ['10.0.0.1', '10.0.0.2']);
  const addresses = followLocalAddresses(events, new FakeClock(), () => {});
  expect(addresses.read()).toEqual(['10.0.0.1', '10.0.0.2']);
});

test('after lost notifications all are read again', () => {
  const clock = new FakeClock();
  const { events, lose } = nodeOf(['10.0.0.1'], ['10.0.0.1']);
  const onChange = vi.fn<() => void>();
  const addresses = followLocalAddresses(events, clock, onChange);
  lose();
  clock.advance(1_000);
  expect(addresses.read()).toEqual([]);
  expect(onChange).toHaveBeenCalledOnce();
  addresses.close();
});

test('addresses that cannot be read are read a little later', () => {
  const clock = new FakeClock();
  const { events, lose } = nodeOf(['10.0.0.1'], ['10.0.0.1']);
  const onChange = vi.fn<() => void>();
  const addresses = followLocalAddresses(events, clock, onChange);
  lose();
  vi.mocked(rtnl.openRtnl).mockImplementationOnce(() => {
    throw new Error('EMFILE');
  });
  clock.advance(100);
  expect(addresses.read()).toEqual(['10.0.0.1']);
  clock.advance(1_000);
  expect([addresses.read(), onChange.mock.calls.length]).toEqual([[], 1]);
  addresses.close();
});
