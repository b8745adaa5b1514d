/** Who reaches whom, asked with packets and compared with what is expected. */
import type { IPFamily } from '../../src/net/ip.ts';
import type { Traffic } from '../../src/policy/ports.ts';
import type { Place, PolicyLab } from './policy-lab.ts';
import type { PacketOutcome } from './policy-pods.ts';

export interface Question extends Traffic {
  readonly from: Place;
  readonly to: Place;
  readonly family: IPFamily;
  /** Where the packets are sent instead: a Service's address that leads to `to`. */
  readonly via?: { readonly host: string; readonly port: number };
}

/** How a connection that policies do not allow is refused. */
export type Refusal = 'reject' | 'drop';

export interface MatrixOptions {
  readonly isAllowed: (question: Question) => boolean;
  /** As told to the Enforcer, for those who are inside; others are dropped. */
  readonly deniedInside?: Refusal;
}

/** A refusal needs no time and an answer little; who is to be answered is asked again with more of it. */
const PATIENCE_MS = 150;
const LONG_PATIENCE_MS = 3000;

/** All that was found otherwise than expected, as text. */
export async function mismatches(
  lab: PolicyLab,
  questions: readonly Question[],
  options: MatrixOptions,
): Promise<readonly string[]> {
  const wants = questions.map((question) => wantedOutcome(lab, question, options));
  const outcomes = [...(await lab.sockets.try(questions.map(probeOf), PATIENCE_MS))];
  const late = [...questions.keys()].filter(
    (i) => outcomes[i]?.kind === 'silent' && wants[i] !== 'silent',
  );
  const again = late.flatMap((i) => questions[i] ?? []);
  for (const [n, outcome] of (
    await lab.sockets.try(again.map(probeOf), LONG_PATIENCE_MS)
  ).entries()) {
    outcomes[late[n] ?? 0] = outcome;
  }
  return questions.flatMap((question, i) => {
    const got = outcomeText(lab, outcomes[i] ?? { kind: 'silent' });
    return got === wants[i] ? [] : [`${questionText(question)}: ${got}, expected ${wants[i]}`];
  });
}

/** Every party of `from` to every party of `to`. */
export function matrix(options: {
  readonly from: readonly Place[];
  readonly to: readonly Place[];
  readonly ports: readonly number[];
  readonly protocols: readonly Traffic['protocol'][];
  readonly families?: readonly IPFamily[];
}): readonly Question[] {
  const { from, to, ports, protocols, families = [4, 6] } = options;
  return from.flatMap((source) =>
    to.flatMap((target) =>
      families.flatMap((family) =>
        protocols.flatMap((protocol) =>
          (protocol === 'ICMP' ? [0] : ports).map((port) => ({
            ...{ from: source, to: target, family, protocol, port },
          })),
        ),
      ),
    ),
  );
}

export function questionText({ from, to, family, protocol, port, via }: Question): string {
  const by = via === undefined ? '' : ` by ${via.host}:${via.port}`;
  return `${from.name} -> ${to.name}:${port}/${protocol.toLowerCase()} over IPv${family}${by}`;
}

function probeOf({ from, to, family, protocol, port, via }: Question) {
  const { host, port: sentTo } = via ?? { host: to.ips[family], port };
  return { from: from.index, protocol, host, port: sentTo };
}

function wantedOutcome(lab: PolicyLab, question: Question, options: MatrixOptions): string {
  const { from, to, protocol } = question;
  if (options.isAllowed(question)) return protocol === 'ICMP' ? 'echo' : `answer of ${to.name}`;
  const isInside = from.index !== lab.outside.index;
  if (!isInside || options.deniedInside === 'drop') return 'silent';
  return protocol === 'TCP' ? 'reset' : 'prohibited';
}

function outcomeText({ pods, nodes, outside }: PolicyLab, outcome: PacketOutcome): string {
  if (outcome.kind === 'error') return `errno ${outcome.errno}`;
  if (outcome.kind !== 'answered') return outcome.kind;
  return `answer of ${[...pods, ...nodes, outside][outcome.by]?.name}`;
}
