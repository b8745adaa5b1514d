/** Debian's firewalld in a namespace, on a bus of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFirewalld } from '../../src/cni/firewall/firewalld.ts';
import type { Firewalld } from '../../src/cni/node.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { TestNetns } from './netns.ts';
import { until } from './until.ts';

/** Bound to no zone. */
const NOBODY = parseIP('192.0.2.255');
const ALL = ['user', 'own', 'send_destination', 'receive_sender'];
const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=SOCKET</listen><auth>EXTERNAL</auth>
<policy context="default">${ALL.map((what) => `<allow ${what}="*"/>`).join('')}</policy>
</busconfig>`;

export class TestFirewalld {
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-firewalld-'));
  readonly address = `unix:path=${this.directory}/bus`;
  /** Asks it as a node's CNI plugins would. */
  readonly client: Firewalld = openFirewalld(this.address);
  readonly #processes: ChildProcess[] = [];

  private constructor() {
    writeFileSync(
      join(this.directory, 'bus.conf'),
      BUS.replace('SOCKET', join(this.directory, 'bus')),
    );
    cpSync('/etc/firewalld', join(this.directory, 'etc'), { recursive: true });
  }

  /** The bus alone. */
  static async bus(): Promise<TestFirewalld> {
    const firewalld = new TestFirewalld();
    const { directory } = firewalld;
    firewalld.#start([
      'dbus-daemon',
      `--config-file=${directory}/bus.conf`,
      '--nofork',
      '--nopidfile',
    ]);
    await until('the bus answers', () => busList(firewalld.address));
    return firewalld;
  }

  /** Until it has loaded its rules into the namespace. */
  async start(netns: TestNetns, backend: 'nftables' | 'iptables' = 'nftables'): Promise<void> {
    const file = join(this.directory, 'etc/firewalld.conf');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/^FirewallBackend=.*/m, `FirewallBackend=${backend}`));
    const paths = [`--system-config=${this.directory}/etc`, `--log-file=${this.directory}/log`];
    this.#start(['nsenter', `--net=${netns.path}`, 'firewalld', '--nofork', '--nopid', ...paths]);
    await until('firewalld answers', () => !this.client.hasSource('trusted', NOBODY));
  }

  async stop(): Promise<void> {
    const ended = this.#processes.reverse().map(
      (child) =>
        new Promise((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) resolve(undefined);
          else child.on('close', resolve).kill();
        }),
    );
    await Promise.all(ended);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #start([program = '', ...args]: readonly string[]): void {
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: this.address };
    this.#processes.push(spawn(program, args, { env, stdio: 'ignore' }));
  }
}

function busList(address: string): string {
  return execFileSync('busctl', [`--address=${address}`, 'list'], { encoding: 'utf8' });
}
