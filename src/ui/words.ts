/** States in words: what is drawn is said too. */
import type { UiFinding, UiPeer, UiService } from '../agent/page/snapshot.ts';

export type Tone = 'well' | 'doubtful' | 'bad' | 'quiet';

export interface State {
  readonly tone: Tone;
  readonly words: string;
}

export function peerState({ way, path, mtu }: UiPeer): State {
  const means = way === 'direct' ? 'same link' : 'VXLAN';
  if (way === 'unreachable') return { tone: 'bad', words: 'not reached' };
  if (way === 'none') return { tone: 'quiet', words: 'no pods' };
  if (path === 'silent') return { tone: 'bad', words: `${means}, no answer` };
  if (path === 'smaller') return { tone: 'doubtful', words: `${means}, MTU ${mtu}` };
  return { tone: path === 'full' ? 'well' : 'quiet', words: means };
}

export function serviceState({ serving, endpointCount, refusedPerSecond = 0 }: UiService): State {
  if (serving === 0) {
    const words = endpointCount === 0 ? 'no endpoints' : `0 of ${endpointCount} serve`;
    return { tone: 'bad', words };
  }
  const count = endpointCount === 1 ? '1 endpoint' : `${endpointCount} endpoints`;
  if (refusedPerSecond > 0) return { tone: 'doubtful', words: `${count}, some refused` };
  if (serving === endpointCount) return { tone: 'well', words: count };
  return { tone: 'well', words: `${serving} of ${endpointCount} serve` };
}

/** `12/s`, `0.4/s`, `idle`; empty while nobody counts. */
export function rateWords(perSecond: number | undefined): string {
  if (perSecond === undefined) return '';
  if (perSecond === 0) return 'idle';
  if (perSecond >= 10_000) return `${Math.round(perSecond / 1000)}k/s`;
  return perSecond >= 10 ? `${Math.round(perSecond)}/s` : `${perSecond}/s`;
}

/** What is said on top: one line, whatever there is. */
export function healthState(isHealthy: boolean, findings: readonly UiFinding[]): State {
  const count = (level: UiFinding['level']) =>
    findings.filter((each) => each.level === level).length;
  const [failing, warnings, unknown] = [count('failing'), count('warning'), count('unknown')];
  const parts = [
    ...(failing === 0 ? [] : [`${failing} ${failing === 1 ? 'check fails' : 'checks fail'}`]),
    ...(warnings === 0 ? [] : [counted(warnings, 'warning')]),
    ...(unknown === 0 ? [] : [`${unknown} unknown`]),
  ];
  if (failing > 0 || !isHealthy) {
    return { tone: 'bad', words: parts.length === 0 ? 'Not healthy' : capital(parts.join(', ')) };
  }
  if (parts.length > 0) return { tone: 'doubtful', words: capital(parts.join(', ')) };
  const passed = count('ok');
  return {
    tone: 'well',
    words: passed === 0 ? 'Healthy' : `Healthy: ${counted(passed, 'check')}, all well`,
  };
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `just now`, `40 s ago`, `7 min ago`, `3 h ago`, `5 d ago` */
export function ageWords(at: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(at)) / 1000));
  if (seconds < 3) return 'just now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** At most `most` characters; the end of a name tells more than its middle. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const tail = Math.max(1, Math.floor((most - 1) / 3));
  return `${text.slice(0, most - 1 - tail)}…${text.slice(-tail)}`;
}
