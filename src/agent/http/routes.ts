import type { AgentConfig } from '../config/agent-config.ts';
import type { AgentMetrics } from '../metrics/metrics.ts';
import { answerHealthz, answerLivez, type HealthFacts, type ProbeAnswer } from './health.ts';
import { type HttpQuestion, type HttpReply, type HttpRoutes, plainText } from './http.ts';

/** Routes of the health server: `/healthz` and `/livez`, each answer counted by its code. */
export function healthRoutes(
  facts: () => HealthFacts,
  metrics: Pick<AgentMetrics, 'healthzAnswered' | 'livezAnswered'>,
): HttpRoutes {
  return new Map([
    ['/healthz', () => countedProbe(answerHealthz(facts()), metrics.healthzAnswered)],
    ['/livez', () => countedProbe(answerLivez(facts()), metrics.livezAnswered)],
  ]);
}

/**
 * Routes of the metrics server: `/metrics`, `/healthz` (`ok` while the process runs),
 * `/proxyMode` (the word alone), `/configz` (the proxy's configuration under its API group) and,
 * where profiling is on, `/debug`.
 */
export function metricsRoutes(options: {
  readonly metrics: Pick<AgentMetrics, 'render' | 'contentType'>;
  readonly proxyMode: string;
  /** Undefined: `/debug` is not found. */
  readonly profiling?: HttpRoutes | undefined;
  /** As it is now. */
  readonly config: () => Pick<AgentConfig, 'kubeProxy'>;
}): HttpRoutes {
  const { metrics, proxyMode, profiling = [], config } = options;
  const configz = () => JSON.stringify({ 'kubeproxy.config.k8s.io': config().kubeProxy });
  return new Map<string, (question: HttpQuestion) => HttpReply | Promise<HttpReply>>([
    [
      '/metrics',
      async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.render() }),
    ],
    ['/healthz', () => plainText(200, 'ok')],
    ['/proxyMode', () => plainText(200, proxyMode)],
    ['/configz', () => json(200, configz())],
    ...profiling,
  ]);
}

function countedProbe(answer: ProbeAnswer, count: (code: number) => void): HttpReply {
  count(answer.status);
  return json(answer.status, answer.body);
}

function json(status: number, body: string): HttpReply {
  return { status, contentType: 'application/json', body };
}
