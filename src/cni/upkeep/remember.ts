import { addressOf } from '../../net/cidr.ts';
import type { RecordedInside, RecordedIpam } from '../attachment-records.ts';
import type { AttachmentPlan } from '../bridge/plan.ts';
import type { NetnsCall } from '../plugin.ts';
import { podOf } from '../protocol/args.ts';
import type { UndoList } from '../undo.ts';
import { nodePlanOf } from './records.ts';

/** Writes the record of an attachment that is about to be made. Throws IoError. */
export function remember(
  { request, node, attachment, netns }: NetnsCall,
  plan: AttachmentPlan,
  ipam: RecordedIpam | undefined,
  undo: UndoList,
): void {
  const { records } = node;
  if (records === undefined) return;
  const callId = request.env['WEFT_CALL'];
  records.write({
    attachment,
    netns: { path: request.netnsPath, id: netns.id },
    pod: podOf(request.args),
    addresses: plan.result.ips.map(({ address }) => addressOf(address)),
    ...(callId === undefined ? {} : { callId }),
    ...(ipam === undefined ? {} : { ipam }),
    plan: nodePlanOf(plan),
    ...(plan.pod.isRaised ? { inside: insideOf(plan) } : {}),
  });
  undo.push(() => records.remove(attachment));
}

const MAIN = 254;

function insideOf({ pod, mtu }: AttachmentPlan): RecordedInside {
  const routes = pod.routes.flatMap(({ table = MAIN, ...route }) =>
    table === MAIN ? [route] : [],
  );
  return { addresses: pod.addresses, routes, ...(typeof mtu === 'number' ? { mtu } : {}) };
}
