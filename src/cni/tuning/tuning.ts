import type { Link, LinkChange, Rtnl } from '../../kernel/types.ts';
import { runAll } from '../../util/errors.ts';
import { allowMac } from '../bridge/spoof-mac.ts';
import { withRtnl } from '../node.ts';
import type { ChainMember, DelCall, GcCall, NetnsCall } from '../plugin.ts';
import { memberOf } from '../protocol/json.ts';
import type { Request } from '../protocol/request.ts';
import type { Result } from '../protocol/result.ts';
import type { UndoList } from '../undo.ts';
import { DEFAULT_ALLOWLIST_FILE, requireAllowed } from './allowlist.ts';
import {
  backupOwners,
  DEFAULT_BACKUP_DIRECTORY,
  readBackup,
  removeBackup,
  saveBackup,
} from './backup.ts';
import {
  isEmptyTuning,
  isSeparatePlugin,
  parseTuningConfig,
  type SysctlWish,
  type TuningConfig,
} from './config.ts';

/** Sysctls and link settings inside the pod, under the keys of the reference's tuning plugin. */
export const tuning: ChainMember = tuningWith({ allowlistFile: DEFAULT_ALLOWLIST_FILE });

/** The member with the administrator's allowlist elsewhere. */
export function tuningWith({ allowlistFile }: { readonly allowlistFile: string }): ChainMember {
  return {
    name: 'tuning',
    isWanted: (request) => !isEmptyTuning(parseTuningConfig(request)),
    add: (call, previous, undo) => {
      const config = parseTuningConfig(call.request);
      const keys = config.sysctls.map(({ key }) => key);
      requireAllowed(keys, allowlistFile);
      return tune(call, config, previous, undo);
    },
    del: restoreLink,
    check: checkTuning,
    gc: removeStaleBackups,
  };
}

/** Sysctls are not taken back: the namespace they are in goes with the pod. */
function tune(call: NetnsCall, config: TuningConfig, previous: Result, undo: UndoList): Result {
  const { node, attachment, netns, request } = call;
  for (const { path, value } of config.sysctls) node.kernel.sysctls.write(netns, path, value);
  const change = linkChange(config);
  if (Object.keys(change).length === 0) return previous;
  withRtnl(node.kernel, netns, (rtnl) => {
    const link = requireLink(rtnl.link(attachment.ifName), attachment.ifName);
    const before = originalOf(link, change);
    // Any link, a veth too, may have been handed to the pod (host-device) and go back to the node.
    if (isSeparatePlugin(request)) saveBackup(backupDirectory(request), attachment, before);
    undo.push(() => {
      withRtnl(node.kernel, netns, (again) => again.changeLink(link.index, before));
      removeBackup(backupDirectory(request), attachment);
    });
    if (change.mac !== undefined) allowMac(node, attachment, change.mac, undo);
    rtnl.changeLink(link.index, change);
  });
  return withLink(previous, attachment.ifName, config);
}

/**
 * Each setting by itself, so that one that the link does not take any more costs none of the others.
 * What DEL cannot restore it forgets: a pod is not kept for the sake of a link that has changed.
 */
function restoreLink({ request, node, attachment, netns }: DelCall): void {
  if (!isSeparatePlugin(request)) return;
  const directory = backupDirectory(request);
  const backup = readBackup(directory, attachment);
  removeBackup(directory, attachment);
  if (backup === undefined || netns === undefined) return;
  try {
    withRtnl(node.kernel, netns, (rtnl) => {
      const link = rtnl.link(attachment.ifName);
      if (link === undefined) return;
      for (const change of eachSetting(backup.change)) tryChange(rtnl, link, change);
    });
  } catch {
    // The namespace is going away, and the link with it.
  }
}

function eachSetting({ mtu, mac, ...flags }: LinkChange): readonly LinkChange[] {
  const { isPromiscuous, isAllMulticast, txQueueLength } = flags;
  return [
    ...(mtu === undefined ? [] : [{ mtu }]),
    ...(mac === undefined ? [] : [{ mac }]),
    ...(isPromiscuous === undefined ? [] : [{ isPromiscuous }]),
    ...(isAllMulticast === undefined ? [] : [{ isAllMulticast }]),
    ...(txQueueLength === undefined ? [] : [{ txQueueLength }]),
  ];
}

function tryChange(rtnl: Rtnl, { index }: Link, change: LinkChange): void {
  try {
    rtnl.changeLink(index, change);
  } catch {
    // As with the reference: the next setting may still be taken.
  }
}

function checkTuning({ request, node, attachment, netns }: NetnsCall): void {
  const config = parseTuningConfig(request);
  for (const wish of config.sysctls) {
    requireSysctl(wish, node.kernel.sysctls.read(netns, wish.path));
  }
  const change = linkChange(config);
  if (Object.keys(change).length === 0) return;
  const { ifName } = attachment;
  const link = requireLink(
    withRtnl(node.kernel, netns, (rtnl) => rtnl.link(ifName)),
    ifName,
  );
  requireSame(`mac of ${ifName}`, change.mac, link.mac);
  requireSame(`mtu of ${ifName}`, change.mtu, link.mtu);
  requireSame(`promiscuous mode of ${ifName}`, change.isPromiscuous, link.isPromiscuous);
  const isAllMulticast = link.isAllMulticast === true;
  requireSame(`allmulti of ${ifName}`, change.isAllMulticast, isAllMulticast);
  requireSame(`txQLen of ${ifName}`, change.txQueueLength, link.txQueueLength);
}

function removeStaleBackups({ request, isValid }: GcCall): void {
  if (!isSeparatePlugin(request)) return;
  const directory = backupDirectory(request);
  const stale = backupOwners(directory).filter(
    (owner) => owner.network === request.network && !isValid(owner),
  );
  runAll(
    stale.map((owner) => () => removeBackup(directory, owner)),
    'garbage collection of saved link settings was not complete',
  );
}

function linkChange({ sysctls: _, ...change }: TuningConfig): LinkChange {
  return change;
}

/** The present values of what is going to change. */
function originalOf(link: Link, change: LinkChange): LinkChange {
  const { mac, txQueueLength } = link;
  return {
    ...(change.mac === undefined || mac === undefined ? {} : { mac }),
    ...(change.mtu === undefined ? {} : { mtu: link.mtu }),
    ...(change.isPromiscuous === undefined ? {} : { isPromiscuous: link.isPromiscuous }),
    ...(change.isAllMulticast === undefined
      ? {}
      : { isAllMulticast: link.isAllMulticast === true }),
    ...(change.txQueueLength === undefined || txQueueLength === undefined ? {} : { txQueueLength }),
  };
}

function withLink(previous: Result, ifName: string, { mac, mtu }: TuningConfig): Result {
  const interfaces = previous.interfaces.map((told) => {
    if (told.name !== ifName || (told.sandbox ?? '') === '') return told;
    return {
      ...told,
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined ? {} : { mtu }),
    };
  });
  return { ...previous, interfaces };
}

function backupDirectory({ config }: Request): string {
  const directory = memberOf(config, 'dataDir');
  return typeof directory === 'string' && directory !== '' ? directory : DEFAULT_BACKUP_DIRECTORY;
}

function requireLink(link: Link | undefined, ifName: string): Link {
  if (link === undefined) throw new Error(`failed to get "${ifName}": no such link in the pod`);
  return link;
}

/** The kernel separates several values by tabs, whatever they were written with. */
function requireSysctl({ key, value }: SysctlWish, present: string | undefined): void {
  const words = (text: string) => text.trim().split(/\s+/).join(' ');
  requireSame(`sysctl ${key}`, words(value), present === undefined ? present : words(present));
}

function requireSame<T>(what: string, wanted: T | undefined, present: T | undefined): void {
  if (wanted === undefined || wanted === present) return;
  throw new Error(`${what} is ${String(present)}, configured is ${String(wanted)}`);
}
