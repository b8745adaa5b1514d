/** Debian's Chromium without a screen, and what it sees. */
import { type Browser, launch, type Page } from 'puppeteer-core';

export interface Screen {
  readonly width: number;
  readonly height: number;
}

export const SCREENS = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
} as const satisfies Readonly<Record<string, Screen>>;

export type Theme = 'light' | 'dark';

/** Drawn the same on every machine, as far as that can be asked for. */
export function openBrowser(executablePath = '/usr/bin/chromium'): Promise<Browser> {
  return launch({
    executablePath,
    // It may be in another network namespace, which sockets do not lead into.
    pipe: true,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'],
      ...['--force-color-profile=srgb', '--font-render-hinting=none', '--disable-lcd-text'],
      // Nothing of a browser's own goes anywhere.
      ...['--disable-background-networking', '--disable-component-update', '--no-first-run'],
    ],
  });
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors of the console, of scripts and of requests: refused by the policy, or not found. */
  readonly errors: readonly string[];
}

/** A page at that size and theme, once the node is drawn. */
export async function openPage(
  browser: Browser,
  url: string,
  screen: Screen,
  theme: Theme = 'light',
): Promise<OpenedPage> {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('requestfailed', (request) => errors.push(`${request.url()} failed`));
  await page.setViewport(screen);
  await page.emulateMediaFeatures([
    { name: 'prefers-color-scheme', value: theme },
    { name: 'prefers-reduced-motion', value: 'reduce' },
  ]);
  await page.goto(url);
  return { page, errors };
}

/** Waits until the node is drawn, with its own font. */
export async function untilDrawn(page: Page): Promise<void> {
  await page.waitForSelector('.map svg .thing');
  await page.evaluate('document.fonts.ready');
  // The first layout has a width that the page corrects.
  await page.evaluate(
    'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))',
  );
}
