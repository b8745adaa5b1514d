import { CT_DELETE, CT_GET } from '../netlink/ctnetlink/constants.ts';
import { decodeFlow } from '../netlink/ctnetlink/flow.ts';
import { encodeFlowFilter, encodeFlowKey, matchesFlow } from '../netlink/ctnetlink/request.ts';
import { dumpInParts } from '../netlink/dump-in-parts.ts';
import type { NetlinkReply } from '../netlink/message.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { requestAll } from '../netlink/request-batch.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { joinErrors } from '../util/errors.ts';
import { inParts } from '../util/turns.ts';
import type { Flow, FlowFilter, FlowSweeper, Netns, Sweep } from './types.ts';

/** Holds one error per deletion of a batch. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
const DELETIONS_PER_PART = 256;

/** Opens connection tracking of `netns`, or of the namespace of this process, for long sweeps. */
export function openFlowSweeper(netns?: Netns): FlowSweeper {
  return {
    async deleteFlows(filter, isWanted) {
      const reader = open(netns);
      const eraser = open(netns);
      try {
        return await sweep(reader, eraser, filter, isWanted);
      } finally {
        reader.close();
        eraser.close();
      }
    },
  };
}

function open(netns: Netns | undefined): NetlinkSocket {
  return NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
}

/** What is found is deleted at once, so that it need not be kept until the listing ends. */
async function sweep(
  reader: NetlinkSocket,
  eraser: NetlinkSocket,
  filter: FlowFilter,
  isWanted: (flow: Flow) => boolean,
): Promise<Sweep> {
  let seen = 0;
  let deleted = 0;
  const request = { type: CT_GET, payload: encodeFlowFilter(filter), what: 'list flows' };
  const isComplete = await dumpInParts(reader, request, async (replies) => {
    const flows = select(replies, filter);
    seen += flows.length;
    deleted += await erase(eraser, flows.filter(isWanted));
  });
  return { seen, deleted, isComplete };
}

function select(replies: readonly NetlinkReply[], filter: FlowFilter): Flow[] {
  const flows: Flow[] = [];
  for (const { payload } of replies) {
    const flow = decodeFlow(payload);
    if (flow !== undefined && matchesFlow(filter, flow)) flows.push(flow);
  }
  return flows;
}

async function erase(socket: NetlinkSocket, flows: readonly Flow[]): Promise<number> {
  let deleted = 0;
  for await (const part of inParts(flows, DELETIONS_PER_PART)) {
    const requests = part.map((flow) => ({
      type: CT_DELETE,
      flags: 0,
      payload: encodeFlowKey(flow.key),
      what: `delete flow ${flow.original.source} to ${flow.original.destination}`,
    }));
    const outcomes = requestAll(socket, requests);
    // ENOENT: it ended by itself meanwhile.
    const failures = outcomes.filter((error) => error !== undefined && error.code !== 'ENOENT');
    if (failures.length > 0) throw joinErrors(failures, 'delete flows');
    deleted += outcomes.filter((error) => error === undefined).length;
  }
  return deleted;
}
