/** A CycloneDX 1.5 document (ecma-424) without time or serial number: the same input, the same text. */
interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

/** The part of package-lock.json that is read. */
export interface PackageLock {
  readonly version: string;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface Component {
  readonly type: 'library' | 'application';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly 'bom-ref': string;
  readonly licenses?: readonly { readonly expression: string }[];
}

/**
 * `debian` has a line `name TAB version TAB architecture` for each package. Of npm's those are named that
 * run: neither what only builds and tests, nor the runtime of another architecture.
 */
export function softwareBill(debian: string, lock: PackageLock): object {
  const rows = debian
    .split('\n')
    .filter(Boolean)
    .map((row) => row.split('\t'));
  const architecture = rows.find(([, , arch]) => arch !== 'all')?.[2] ?? 'all';
  const other = architecture === 'arm64' ? 'x64' : 'arm64';
  const npm = Object.entries(lock.packages).filter(([path, { dev }]) => {
    return (
      path !== '' && dev !== true && !path.includes('biome') && !path.endsWith(`-linux-${other}`)
    );
  });
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: component('application', 'weft', lock.version, `pkg:generic/weft@${lock.version}`),
    },
    components: [
      ...rows.map(([name = '', version = '', arch = '']) => {
        const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=debian-12`;
        return component('library', name, version, purl);
      }),
      ...npm.map(([path, { version = '', license }]) => {
        const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
        const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
        return component('library', name, version, purl, license);
      }),
    ],
  };
}

function component(
  type: Component['type'],
  name: string,
  version: string,
  purl: string,
  license?: string,
): Component {
  const known = license === undefined ? {} : { licenses: [{ expression: license }] };
  return { type, name, version, purl, 'bom-ref': purl, ...known };
}
