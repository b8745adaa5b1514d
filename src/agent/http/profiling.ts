/** kube-proxy's `/debug` endpoints, with what Node has in the place of Go's profiles. */
import { Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLevel } from '../../util/log.ts';
import { levelOfVerbosity } from '../config/agent-config.ts';
import { type HttpQuestion, type HttpReply, type HttpRoutes, plainText } from './http.ts';

const DEFAULT_SECONDS = 5;
/** Shorter than the time after which a silent connection is dropped. */
const MAX_SECONDS = 10;
const SAMPLING_INTERVAL_BYTES = 32_768;
const INDEX = `/debug/pprof/profile?seconds=5  CPU profile (open the .cpuprofile in Chrome's developer tools)
/debug/pprof/heap?seconds=5     allocations (.heapprofile)
PUT /debug/flags/v              log verbosity: 0 info, 4 debug, 6 trace
`;

/** Routes below `/debug`, for a server that only administrators reach. */
export function profilingRoutes(setLogLevel: (level: LogLevel) => void): HttpRoutes {
  let isBusy = false;
  const exclusive = async (question: HttpQuestion, measure: Measure) => {
    const seconds = readSeconds(question);
    if (seconds === undefined) {
      return plainText(400, `seconds: expected a number from 1 to ${MAX_SECONDS}\n`);
    }
    if (isBusy) return plainText(409, 'another profile is being taken\n');
    isBusy = true;
    try {
      return await inSession((session) => measure(session, seconds));
    } finally {
      isBusy = false;
    }
  };
  return new Map<string, (question: HttpQuestion) => HttpReply | Promise<HttpReply>>([
    ['/debug/pprof/', () => plainText(200, INDEX)],
    ['/debug/pprof/profile', (question) => exclusive(question, takeCpuProfile)],
    ['/debug/pprof/heap', (question) => exclusive(question, takeHeapProfile)],
    ['PUT /debug/flags/v', ({ body }) => changeVerbosity(body, setLogLevel)],
  ]);
}

type Measure = (session: Session, seconds: number) => Promise<unknown>;

async function inSession(measure: (session: Session) => Promise<unknown>): Promise<HttpReply> {
  const session = new Session();
  session.connect();
  try {
    const body = JSON.stringify(await measure(session));
    return { status: 200, contentType: 'application/json', body };
  } finally {
    session.disconnect();
  }
}

async function takeCpuProfile(session: Session, seconds: number): Promise<unknown> {
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  await sleep(seconds * 1000);
  return (await session.post('Profiler.stop')).profile;
}

async function takeHeapProfile(session: Session, seconds: number): Promise<unknown> {
  const samplingInterval = SAMPLING_INTERVAL_BYTES;
  await session.post('HeapProfiler.startSampling', { samplingInterval });
  await sleep(seconds * 1000);
  return (await session.post('HeapProfiler.stopSampling')).profile;
}

function readSeconds({ query }: HttpQuestion): number | undefined {
  const text = query.get('seconds');
  if (text === null) return DEFAULT_SECONDS;
  const seconds = Number(text);
  return seconds >= 1 && seconds <= MAX_SECONDS ? seconds : undefined;
}

function changeVerbosity(body: string, setLogLevel: (level: LogLevel) => void): HttpReply {
  const text = body.trim();
  if (!/^\d{1,2}$/.test(text)) return plainText(400, `expected a number, found "${text}"\n`);
  setLogLevel(levelOfVerbosity(Number(text)));
  return plainText(200, `successfully set klog.logging.verbosity to ${text}`);
}
