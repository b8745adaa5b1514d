import { Registry } from 'prom-client';
import { MetricFactory } from './factory.ts';

/** Which server was asked: the path of the question without its slash. */
export type HealthCheckType = 'healthz' | 'livez';

/**
 * Kubernetes' service level indicators of a component (KEP-3466): what health checks said last, and
 * how often they said it. Served apart from the other metrics, so that they can be scraped often.
 */
export class HealthChecks {
  readonly #registry = new Registry();
  readonly #last;
  readonly #total;

  constructor() {
    const metrics = new MetricFactory(this.#registry);
    this.#last = metrics.gauge(
      'kubernetes_healthcheck',
      'What a health check said last: 1 is success',
      ['name', 'type'],
    );
    this.#total = metrics.counter(
      'kubernetes_healthchecks_total',
      'Answers of health checks by what they said',
      ['name', 'type', 'status'],
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  observe(name: string, type: HealthCheckType, isSuccess: boolean): void {
    this.#last.set({ name, type }, Number(isSuccess));
    this.#total.inc({ name, type, status: isSuccess ? 'success' : 'error' });
  }

  /** Forgets what was observed. */
  reset(): void {
    this.#registry.resetMetrics();
  }

  /** The exposition text. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }
}
