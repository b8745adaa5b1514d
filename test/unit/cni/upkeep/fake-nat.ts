/** Table `nat` of iptables in memory: a text is applied whole or not at all, as iptables-restore does. */
import { IoError } from '../../../../src/util/errors.ts';

type Chains = ReadonlyMap<string, readonly string[]>;

export class FakeNat {
  #chains: Chains = new Map([['POSTROUTING', []]]);
  /** Texts that were applied. */
  readonly restored: string[] = [];
  saves = 0;
  beforeSave: () => void = () => undefined;
  /** Called with each listing that was taken, before it arrives. */
  onSave: () => void = () => undefined;
  /** Called before a text is applied. */
  onRestore: () => void = () => undefined;
  /** How rules are printed. */
  print: (rule: string) => string = (rule) => rule;

  /** As the programs of others do. */
  apply(...lines: readonly string[]): void {
    const chains = new Map(this.#chains);
    for (const line of lines) applyLine(chains, line);
    this.#chains = chains;
  }

  readonly programs = {
    save: async () => {
      this.saves += 1;
      this.beforeSave();
      const text = this.text();
      this.onSave();
      return text;
    },
    restore: async (text: string) => {
      this.onRestore();
      this.apply(...text.split('\n').filter((line) => line.startsWith('-')));
      this.restored.push(text);
    },
  };

  text(): string {
    const names = [...this.#chains.keys()];
    const rules = [...this.#chains].flatMap(([chain, bodies]) =>
      bodies.map((body) => this.print(`-A ${chain} ${body}`)),
    );
    return ['*nat', ...names.map((name) => `:${name} - [0:0]`), ...rules, 'COMMIT', ''].join('\n');
  }

  /** Rules without what every table begins with. */
  rules(): readonly string[] {
    return this.text()
      .split('\n')
      .filter((line) => line.startsWith('-A'));
  }

  get chainNames(): readonly string[] {
    return [...this.#chains.keys()];
  }

  /** As nobody had ever made a rule. */
  wipe(): void {
    this.#chains = new Map([['POSTROUTING', []]]);
  }

  flush(): void {
    this.#chains = new Map([...this.#chains.keys()].map((name) => [name, []]));
  }
}

function applyLine(chains: Map<string, readonly string[]>, line: string): void {
  const [command, chain = '', ...words] = line.split(' ');
  const body = words.join(' ');
  const rules = chains.get(chain);
  const refuse = (): never => {
    throw new IoError(`iptables-restore: ${line}: failed`);
  };
  if (command === '-N') {
    if (rules !== undefined) refuse();
    chains.set(chain, []);
    return;
  }
  if (rules === undefined) throw refuse();
  if (command === '-A') chains.set(chain, [...rules, requireTarget(chains, body, refuse)]);
  if (command === '-I') chains.set(chain, [body.replace(/^1 /, ''), ...rules]);
  if (command === '-F') chains.set(chain, []);
  if (command === '-D') {
    const at = rules.indexOf(body);
    chains.set(chain, at < 0 ? refuse() : rules.toSpliced(at, 1));
  }
  if (command === '-X') {
    const isLedTo = [...chains.values()].flat().some((rule) => rule.endsWith(` -j ${chain}`));
    if (isLedTo || rules.length > 0) refuse();
    chains.delete(chain);
  }
}

function requireTarget(chains: Chains, body: string, refuse: () => never): string {
  const target = /-j (CNI-\S+)$/.exec(body)?.[1];
  return target !== undefined && !chains.has(target) ? refuse() : body;
}
