import { isLoopback } from '../../net/ip.ts';
import { parsePageAddress } from '../config/page-address.ts';
import type { DebugSubjects } from '../debug/subjects.ts';
import { serveHttp } from '../http/http.ts';
import { Access } from './access.ts';
import { agentPage } from './compose.ts';
import { Followers } from './followers.ts';
import { Readers } from './readers.ts';
import { pageRoutes } from './routes.ts';
import { tokenFile } from './token-file.ts';

/** Serves the page where the settings say so. Throws ConfigError for a token that cannot be read. */
export function startPage(subjects: DebugSubjects): void {
  const { config, clock, log, lifecycle, descriptors, problems } = subjects.context;
  const { uiBindAddress, uiTokenFile } = config.own;
  const address = parsePageAddress(uiBindAddress);
  if (address === undefined) return;
  const token = uiTokenFile === '' ? undefined : tokenFile(uiTokenFile, clock);
  // Now, and not at the first request: a mistake ends the start.
  token?.();
  if (token === undefined && !isLoopback(address.host)) return;
  const source = agentPage(subjects);
  const readers = new Readers({ clock, snapshot: source.snapshot });
  const followers = new Followers({ clock, source });
  const access = new Access({ clock, token, hostNames: [config.nodeName] });
  const running = serveHttp({
    name: 'page',
    most: descriptors.limits.page,
    addresses: [address],
    routes: pageRoutes({ clock, source, access, readers, followers }),
    bindAddressHardFail: false,
    clock,
    log,
  });
  problems.add(() => running.failures());
  lifecycle.onShutdown('page', () => {
    readers.close();
    followers.close();
    return running.close();
  });
}
