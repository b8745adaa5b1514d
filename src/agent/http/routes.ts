import type { AgentMetrics } from '../metrics/metrics.ts';
import { configzText, type ShownConfig } from './configz.ts';
import {
  answerHealthz,
  answerLivez,
  answerReadyz,
  type HealthFacts,
  type ProbeAnswer,
} from './health.ts';
import { type HttpReply, type HttpRoutes, plainText, type Respond } from './http.ts';
import { flagzText, type ProcessFacts, statuszText } from './zpages.ts';

/**
 * Routes of the health server: `/healthz` and `/livez`, each answer counted by its code and as a
 * health check named `proxy`, and `/readyz`, which kube-proxy does not have.
 */
export function healthRoutes(
  facts: () => HealthFacts,
  othersAwaited: () => readonly string[],
  metrics: Pick<AgentMetrics, 'healthzAnswered' | 'livezAnswered' | 'healthChecks'>,
): HttpRoutes {
  const { healthChecks, healthzAnswered, livezAnswered } = metrics;
  const counted = (answer: ProbeAnswer, type: 'healthz' | 'livez') => {
    (type === 'healthz' ? healthzAnswered : livezAnswered)(answer.status);
    healthChecks.observe('proxy', type, answer.status === 200);
    return answered(answer);
  };
  return new Map([
    ['/healthz', () => counted(answerHealthz(facts()), 'healthz')],
    ['/livez', () => counted(answerLivez(facts()), 'livez')],
    ['/readyz', () => answered(answerReadyz(facts(), othersAwaited()))],
  ]);
}

export interface MetricsRoutesOptions {
  readonly metrics: Pick<AgentMetrics, 'render' | 'contentType' | 'healthChecks'>;
  readonly proxyMode: string;
  /** Undefined: `/debug` is not found. */
  readonly profiling?: HttpRoutes | undefined;
  /** As it is now. */
  readonly config: () => ShownConfig;
  readonly process: () => Omit<ProcessFacts, 'paths'>;
}

/**
 * Routes of the metrics server: `/metrics`, `/metrics/slis` (with DELETE they begin anew), `/healthz`
 * (`ok` while the process runs), `/proxyMode` (the word alone), `/configz` (the settings in
 * effect), where profiling is on `/debug`, and `/statusz` and `/flagz` unless the feature
 * gates ComponentStatusz and ComponentFlagz turn them off.
 */
export function metricsRoutes(options: MetricsRoutesOptions): HttpRoutes {
  const { metrics, proxyMode, profiling = [], config } = options;
  const { healthChecks } = metrics;
  const routes = new Map<string, Respond>([
    ['/metrics', async () => exposition(metrics.contentType, await metrics.render())],
    [
      '/metrics/slis',
      async () => exposition(healthChecks.contentType, await healthChecks.render()),
    ],
    [
      'DELETE /metrics/slis',
      () => {
        healthChecks.reset();
        return plainText(200, 'metrics reset\n');
      },
    ],
    [
      '/healthz',
      () => {
        healthChecks.observe('ping', 'healthz', true);
        return plainText(200, 'ok');
      },
    ],
    ['/proxyMode', () => plainText(200, proxyMode)],
    ['/configz', () => json(200, configzText(config()))],
    ...profiling,
  ]);
  for (const [path, respond] of zpages(options, () => routes)) routes.set(path, respond);
  return routes;
}

/** Feature gates that are on unless a configuration turns them off, as in kube-proxy 1.36. */
function zpages(
  { config, process }: MetricsRoutesOptions,
  routes: () => HttpRoutes,
): readonly (readonly [string, Respond])[] {
  const { featureGates } = config().kubeProxy;
  const paths = () => [...routes().keys()].filter((path) => path.startsWith('/'));
  const statusz = () => plainText(200, statuszText({ ...process(), paths: paths() }));
  const flagz = () => plainText(200, flagzText(config().kubeProxy));
  return [
    ...(featureGates['ComponentStatusz'] === false ? [] : [['/statusz', statusz] as const]),
    ...(featureGates['ComponentFlagz'] === false ? [] : [['/flagz', flagz] as const]),
  ];
}

function answered({ status, body }: ProbeAnswer): HttpReply {
  return json(status, body);
}

function exposition(contentType: string, body: string): HttpReply {
  return { status: 200, contentType, body };
}

function json(status: number, body: string): HttpReply {
  return { status, contentType: 'application/json', body };
}
