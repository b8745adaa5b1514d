import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type Registry,
} from 'prom-client';

/** Makes metrics of one registry; a name used twice throws. */
export class MetricFactory {
  readonly #registers: Registry[];

  constructor(registry: Registry) {
    this.#registers = [registry];
  }

  counter<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[] = [],
    collect?: CounterConfiguration<T>['collect'],
  ): Counter<T> {
    const registers = this.#registers;
    return new Counter({ name, help, labelNames, registers, ...(collect ? { collect } : {}) });
  }

  gauge<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[] = [],
    collect?: GaugeConfiguration<T>['collect'],
  ): Gauge<T> {
    const registers = this.#registers;
    return new Gauge({ name, help, labelNames, registers, ...(collect ? { collect } : {}) });
  }

  histogram<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    buckets: number[],
  ): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets, registers: this.#registers });
  }
}
