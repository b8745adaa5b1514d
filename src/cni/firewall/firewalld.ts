/**
 * firewalld, asked over D-Bus: a pod's addresses become sources of a zone. `busctl` speaks for us: it is
 * where systemd is, and D-Bus has no file or netlink interface that a thread could wait at.
 */
import { type CommandPrefix, runCommandSync } from '../../iptables/command.ts';
import { hostCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { IoError, toError } from '../../util/errors.ts';
import type { Firewalld } from '../node.ts';

const NAME = 'org.fedoraproject.FirewallD1';
const ZONE_METHODS = [NAME, '/org/fedoraproject/FirewallD1', `${NAME}.zone`] as const;
const BUS = 'org.freedesktop.DBus';
const TIMEOUT_S = 5;

/** On the bus of the system, or at another address as D-Bus writes it. */
export function openFirewalld(
  address: string | undefined = process.env['DBUS_SYSTEM_BUS_ADDRESS'],
  prefix: CommandPrefix = [],
): Firewalld {
  const bus = address === undefined ? '--system' : `--address=${address}`;
  const call = (...words: readonly string[]) => {
    const args = [bus, `--timeout=${TIMEOUT_S}`, '--', 'call', ...words];
    try {
      return runCommandSync({ prefix, name: 'busctl', args });
    } catch (cause) {
      throw new IoError(`backend "firewalld": ${toError(cause).message}`, { cause });
    }
  };
  const ask = (method: string, zone: string, ip: IP) =>
    call(...ZONE_METHODS, method, 'ss', zone, hostCidr(ip));
  return {
    isRunning: () => {
      try {
        call(BUS, '/org/freedesktop/DBus', BUS, 'GetNameOwner', 's', NAME);
        return true;
      } catch (thrown) {
        if (thrown instanceof IoError) return false;
        throw thrown;
      }
    },
    addSource: (zone, ip) => {
      orAnswers(['ZONE_ALREADY_SET'], () => ask('addSource', zone, ip));
    },
    removeSource: (zone, ip) => {
      orAnswers(['UNKNOWN_SOURCE', 'ZONE_CONFLICT'], () => ask('removeSource', zone, ip));
    },
    hasSource: (zone, ip) => ask('querySource', zone, ip).trim() === 'b true',
  };
}

/** What firewalld answers when nothing is left to do is no failure. */
function orAnswers(answers: readonly string[], action: () => void): void {
  try {
    action();
  } catch (thrown) {
    const message = toError(thrown).message;
    if (!answers.some((answer) => message.includes(answer))) throw thrown;
  }
}
