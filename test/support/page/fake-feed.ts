import type {
  FlowEvent,
  FlowFeed,
  FlowListener,
  FlowQuery,
} from '../../../src/agent/flows/flow-event.ts';
import { parseIP } from '../../../src/net/ip.ts';

/** A feed of what a test tells; it notes who listens. */
export class FakeFeed implements FlowFeed {
  readonly listeners = new Map<FlowListener, FlowQuery>();
  readonly #live: readonly FlowEvent[];

  constructor(live: readonly FlowEvent[] = []) {
    this.#live = live;
  }

  async subscribe(query: FlowQuery, listener: FlowListener) {
    this.listeners.set(listener, query);
    return { notices: [], close: () => void this.listeners.delete(listener) };
  }

  async past() {
    return [];
  }

  async live(_query: FlowQuery, onPart: (events: readonly FlowEvent[]) => void | Promise<void>) {
    if (this.#live.length > 0) await onPart(this.#live);
    return true;
  }

  tell(...events: readonly FlowEvent[]): void {
    for (const listener of this.listeners.keys()) listener({ events, lost: 0 });
  }
}

/** From shop/cart-7c9f4 to the Service shop/web, at its endpoint shop/web-1. */
export function flowToWeb(port: number, more: Partial<FlowEvent> = {}): FlowEvent {
  return {
    ...{ kind: 'live', at: '2030-01-02T03:04:05.678Z', protocol: 'TCP', verdict: 'established' },
    from: { ip: parseIP('10.244.1.5'), port, pod: 'shop/cart-7c9f4' },
    to: { ip: parseIP('10.96.0.1'), port: 80, service: 'shop/web:http' },
    endpoint: { ip: parseIP('10.244.1.9'), port: 8080, pod: 'shop/web-1' },
    ...more,
  };
}
