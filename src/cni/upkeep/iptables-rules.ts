/** Rules of iptables that records tell of, brought back after somebody has flushed them. */
import type { IptablesPrograms } from '../../iptables/programs.ts';
import { settle } from '../../iptables/settle.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import { BusyError, IoError } from '../../util/errors.ts';
import { masqueradeChain, removalOf } from '../iptables/chains.ts';
import { additionsTo } from '../iptables/masquerade.ts';
import type { IptablesMasquerade } from '../node-plan.ts';

type Owner = IptablesMasquerade['owner'];

/** What the rules of one variant and address family are healed with. */
export interface RulesToHeal {
  readonly programs: Pick<IptablesPrograms, 'save' | 'restore'>;
  readonly family: IPFamily;
  /** Of attachments that live now and at which no call is at work, each container once. */
  readonly wanted: () => readonly IptablesMasquerade[];
  /** Whether an ADD or a DEL of the container is at work now. */
  readonly isBusy: (owner: Owner) => boolean;
  readonly pause: (ms: number) => Promise<void>;
}

/** What is changed, for errors. */
const SUBJECT = 'rules of pods in table nat';

/** Repairs, one after the other, while others take rules away. */
const MAX_ROUNDS = 5;

/** How often and how long calls at work are waited for: 5 s, longer than any takes that is not stuck. */
const BUSY_LOOKS = 100;
const BUSY_PAUSE_MS = 50;

/**
 * Adds what is missing and gives the owners that missed something. Between a listing and the change
 * made upon it other processes go on: an ADD that was faster makes the change fail, and what a DEL
 * has left behind by then is taken back again. Throws IoError of the programs, BusyError when there
 * is no end to it.
 */
export async function healRules(rules: RulesToHeal): Promise<readonly Owner[]> {
  const healed = new Map<string, Owner>();
  let applied = '';
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    let asked: readonly IptablesMasquerade[] = [];
    const isChanged = await settle(SUBJECT, async () => {
      asked = rules.wanted();
      const text = additionsTo(await rules.programs.save('nat'), rules.family, asked);
      if (text === undefined) return undefined;
      if (text === applied) await refuseUnlisted(rules, text);
      const apply = async () => {
        await rules.programs.restore(text);
        applied = text;
      };
      return { key: text, apply };
    });
    if (!isChanged) return [...healed.values()];
    const restored = asked.filter(({ owner }) => applied.includes(masqueradeChain(owner)));
    for (const { owner } of restored) healed.set(masqueradeChain(owner), owner);
    await takeBackStale(rules, restored);
  }
  throw new BusyError(`${SUBJECT} change faster than they can be repaired`);
}

/** Programs that list rules in other words than these would be given the same rules again and again. */
async function refuseUnlisted({ programs }: RulesToHeal, text: string): Promise<never> {
  await programs.restore(
    text.replaceAll(/^-A |^-I (\S+) 1 /gm, (_, chain?: string) => {
      return chain === undefined ? '-D ' : `-D ${chain} `;
    }),
  );
  throw new IoError('iptables does not list the rules that it was given: nothing is repaired');
}

/**
 * Takes back what was restored for attachments that do not live any more. A DEL that is at work may
 * have looked before or after: only when it has ended is it known what it has left. One that does
 * not end is repeated, by the runtime or the sweep.
 */
async function takeBackStale(
  rules: RulesToHeal,
  restored: readonly IptablesMasquerade[],
): Promise<void> {
  await calm(rules, restored);
  await settle(SUBJECT, async () => {
    const stale = staleOf(rules, restored);
    if (stale.length === 0) return undefined;
    const saved = await rules.programs.save('nat');
    const text = stale.flatMap(({ chain, kept }) => removalOf(saved, [chain], kept) ?? []).join('');
    return text === '' ? undefined : { key: text, apply: () => rules.programs.restore(text) };
  });
}

async function calm(
  { isBusy, pause }: RulesToHeal,
  restored: readonly IptablesMasquerade[],
): Promise<void> {
  for (let look = 0; look < BUSY_LOOKS; look += 1) {
    if (!restored.some(({ owner }) => isBusy(owner))) return;
    await pause(BUSY_PAUSE_MS);
  }
}

interface Stale {
  readonly chain: string;
  /** Addresses of the container that are in use. */
  readonly kept: ReadonlySet<IP>;
}

function staleOf(
  { wanted, isBusy }: RulesToHeal,
  restored: readonly IptablesMasquerade[],
): readonly Stale[] {
  const living = new Map(wanted().map(({ owner, entries }) => [masqueradeChain(owner), entries]));
  return restored.flatMap(({ owner, entries }) => {
    const chain = masqueradeChain(owner);
    const kept = new Set((living.get(chain) ?? []).map(({ address }) => address));
    const isStale = !isBusy(owner) && entries.some(({ address }) => !kept.has(address));
    return isStale ? [{ chain, kept }] : [];
  });
}
