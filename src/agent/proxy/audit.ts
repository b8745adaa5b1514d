import type { IPFamily } from '../../net/ip.ts';
import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import { Audit, type AuditFinding, type AuditReport } from '../../util/audit.ts';
import type { AgentContext } from '../context.ts';
import type { AuditedScope } from '../metrics/audit.ts';

/**
 * Compares the kernel with what is known of the cluster, slowly and always. A difference that nothing
 * explains is counted, and the next sync reads the kernel back and puts it right. Gives what was
 * found so far, by family; nothing in modes whose sessions have nothing to compare.
 */
export function startAudit(
  { clock, log, metrics, lifecycle }: AgentContext,
  proxy: Pick<ServiceProxy, 'auditedParts' | 'resync'>,
  families: readonly IPFamily[],
): () => readonly AuditReport[] {
  const audits = families.map((family) => {
    const scope: AuditedScope = { component: 'proxy', ip_family: `IPv${family}` };
    const onDifference = ({ what, differences }: AuditFinding, isNews: boolean) => {
      metrics.auditFound(scope, differences);
      log[isNews ? 'warn' : 'debug'](
        { family, what, differences },
        'kernel differs from model, reading it back',
      );
      proxy.resync(family);
    };
    metrics.auditFound(scope, 0);
    const audit = new Audit({
      clock,
      parts: () => proxy.auditedParts(family),
      onDifference,
      onError: (what, err) => log.debug({ family, what, err }, 'kernel not compared'),
    });
    audit.start();
    lifecycle.onShutdown('audit', () => audit.stop());
    return audit;
  });
  return () => audits.filter(({ hasParts }) => hasParts).map(({ report }) => report);
}
