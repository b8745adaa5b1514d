/** What the container runtime makes of its directories. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface RuntimeFacts {
  /** Pods are connected by weft. */
  readonly hasCni: boolean;
  readonly confDirectory: string;
  /** In the order of names, of which the runtime takes the first; undefined without the directory. */
  readonly configs: Fact<readonly CheckedConfig[] | undefined>;
  readonly binDirectory: string;
  /** Names in it; undefined without the directory. */
  readonly plugins: Fact<readonly string[] | undefined>;
  /** Names that weft answers to. */
  readonly ownNames: readonly string[];
}

export interface CheckedConfig {
  readonly file: string;
  /** Of the members of the chain. */
  readonly types: readonly string[];
  /** Of their IPAM, as far as another program has to do it. */
  readonly foreignIpam: readonly string[];
}

const configOrder: Check<RuntimeFacts> = {
  id: 'cni-config',
  concernsTraffic: true,
  why: 'the runtime takes the first file by name: pods are connected by what it says, and by nothing else',
  judge: ({ hasCni, confDirectory, configs: fact, ownNames }) => {
    const configs = known(fact);
    if (!hasCni || configs === undefined) return undefined;
    const [first, ...others] = configs;
    if (first === undefined) {
      return {
        level: 'warning',
        seen: `there is no network configuration in ${confDirectory}`,
        cure: 'have the fabric write one (fabric.manageConflist), or put one there: docs/node.md',
      };
    }
    const isOurs = ({ types }: CheckedConfig) => types.some((type) => ownNames.includes(type));
    if (isOurs(first))
      return { level: 'ok', seen: `${first.file} is the first network configuration` };
    const ours = others.find(isOurs);
    const behind =
      ours === undefined ? 'and none is for weft' : `before ${ours.file}, which is weft's`;
    return {
      level: 'failing',
      seen: `${first.file} (${first.types.join(', ')}) is the first network configuration, ${behind}`,
      cure: `mv ${confDirectory}/${first.file} out of the directory, if pods shall be weft's`,
    };
  },
};

const plugins: Check<RuntimeFacts> = {
  id: 'cni-plugins',
  concernsTraffic: true,
  why: 'the runtime finds no program for the configuration: no pod starts',
  judge: ({ hasCni, configs, binDirectory, plugins: fact }) => {
    const [first] = known(configs) ?? [];
    const names = known(fact);
    if (!hasCni || first === undefined || names === undefined) return undefined;
    const wanted = [...first.types, ...first.foreignIpam];
    const missing = wanted.filter((type) => !names.includes(type));
    if (missing.length === 0) {
      return { level: 'ok', seen: `the plugins of ${first.file} are in ${binDirectory}` };
    }
    return {
      level: 'failing',
      seen: `${first.file} wants ${missing.join(', ')}, which ${missing.length === 1 ? 'is' : 'are'} not in ${binDirectory}`,
      cure: `install the plugins there (weft install --drop-in --cni-bin ${binDirectory} answers for the reference ones)`,
    };
  },
};

export const RUNTIME_CHECKS: readonly Check<RuntimeFacts>[] = [configOrder, plugins];
