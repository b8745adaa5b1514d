import { CT_DELETE, CT_GET, CT_NEW } from '../netlink/ctnetlink/constants.ts';
import { decodeFlow } from '../netlink/ctnetlink/flow.ts';
import {
  encodeFlowFilter,
  encodeFlowKey,
  encodeMarkClearing,
  encodePortTuple,
  matchesFlow,
} from '../netlink/ctnetlink/request.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { type BatchRequest, requestAll } from '../netlink/request-batch.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { errorCode, joinErrors } from '../util/errors.ts';
import type { Conntrack, Flow, FlowFilter, Netns, PortTuple } from './types.ts';

/** Opens connection tracking of `netns`, or of the namespace of this process. */
export function openConntrack(netns?: Netns): Conntrack {
  return new ConntrackSocket(
    NetlinkSocket.open(NETLINK_NETFILTER, {
      ...(netns === undefined ? {} : { netns }),
      receiveBufferBytes: 1 << 21,
    }),
  );
}

class ConntrackSocket implements Conntrack {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  flows(filter: FlowFilter): readonly Flow[] {
    return this.#select(filter, () => true);
  }

  flowOf(packet: PortTuple): Flow | undefined {
    const { source, destination } = packet;
    try {
      const replies = this.#socket.request(
        CT_GET,
        0,
        encodePortTuple(packet),
        `flow of ${source} to ${destination}`,
      );
      return replies[0] && decodeFlow(replies[0].payload);
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return undefined;
      throw thrown;
    }
  }

  deleteFlows(filter: FlowFilter, predicate: (flow: Flow) => boolean = () => true): number {
    const requestFor = ({ key }: Flow) => ({ type: CT_DELETE, payload: encodeFlowKey(key) });
    return this.#request('delete', this.#select(filter, predicate), requestFor);
  }

  clearMarks(filter: FlowFilter, mask: number): number {
    const requestFor = ({ key }: Flow) => ({
      type: CT_NEW,
      payload: encodeMarkClearing(key, mask),
    });
    const flows = this.#select(filter, (flow) => (flow.mark & mask) !== 0);
    return this.#request('clear mark of', flows, requestFor);
  }

  close(): void {
    this.#socket.close();
  }

  /** Gives how many of them the kernel has carried out. */
  #request(
    verb: string,
    flows: readonly Flow[],
    requestFor: (flow: Flow) => Pick<BatchRequest, 'type' | 'payload'>,
  ): number {
    const requests = flows.map((flow) => {
      const { source, destination } = flow.original;
      return { ...requestFor(flow), flags: 0, what: `${verb} flow ${source} to ${destination}` };
    });
    const outcomes = requestAll(this.#socket, requests);
    // ENOENT: it ended by itself meanwhile.
    const failures = outcomes.filter((error) => error !== undefined && error.code !== 'ENOENT');
    if (failures.length > 0) throw joinErrors(failures, `${verb} flows`);
    return outcomes.filter((error) => error === undefined).length;
  }

  #select(filter: FlowFilter, predicate: (flow: Flow) => boolean): Flow[] {
    const flows: Flow[] = [];
    for (const { payload } of this.#socket.dump(CT_GET, encodeFlowFilter(filter), 'list flows')) {
      const flow = decodeFlow(payload);
      if (flow !== undefined && matchesFlow(filter, flow) && predicate(flow)) flows.push(flow);
    }
    return flows;
  }
}
