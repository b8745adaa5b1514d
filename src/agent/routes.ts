import type { KubeProxyConfiguration } from './config/kube-proxy-config.ts';
import { answerHealthz, answerLivez, type HealthFacts, type ProbeAnswer } from './health.ts';
import { type HttpReply, type HttpRoutes, plainText } from './http.ts';
import type { AgentMetrics } from './metrics.ts';

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
 * `/proxyMode` (the word alone) and `/configz` (the proxy's configuration under its API group).
 */
export function metricsRoutes(options: {
  readonly metrics: Pick<AgentMetrics, 'render' | 'contentType'>;
  readonly proxyMode: string;
  readonly kubeProxy: KubeProxyConfiguration;
}): HttpRoutes {
  const { metrics, proxyMode, kubeProxy } = options;
  const configz = JSON.stringify({ 'kubeproxy.config.k8s.io': kubeProxy });
  return new Map<string, () => HttpReply | Promise<HttpReply>>([
    [
      '/metrics',
      async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.render() }),
    ],
    ['/healthz', () => plainText(200, 'ok')],
    ['/proxyMode', () => plainText(200, proxyMode)],
    ['/configz', () => json(200, configz)],
  ]);
}

function countedProbe(answer: ProbeAnswer, count: (code: number) => void): HttpReply {
  count(answer.status);
  return json(answer.status, answer.body);
}

function json(status: number, body: string): HttpReply {
  return { status, contentType: 'application/json', body };
}
