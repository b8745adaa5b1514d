import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { UiSnapshot } from '../../src/agent/page/snapshot.ts';
import { type Clock, systemClock } from '../../src/util/clock.ts';
import {
  type OpenedPage,
  openBrowser,
  openPage,
  SCREENS,
  type Theme,
  untilDrawn,
} from '../support/page/browser.ts';
import { FakeFeed, flowToWeb } from '../support/page/fake-feed.ts';
import { pictureDifference } from '../support/page/pictures.ts';
import { type ServedPage, type ServedPageOptions, servePage } from '../support/page/served-page.ts';
import { denial, largeNode, pastOf, smallNode } from '../support/page/snapshots.ts';
import { until } from '../support/until.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const EXPLANATION = {
  outcome: 'refused',
  text: 'A new connection from 10.244.1.5 to 10.96.12.99 port 80 (tcp)\n\n 1. From a pod: 10.244.1.5 is in 10.244.1.0/24.\n 2. No endpoint is ready.\n\nVerdict: refused at once.\nNext: look at the pods.\n',
} as const;

/** Before a picture is taken. */
const LOOKS = 14;

/** Much faster than the agent's: nobody has to wait for its looks. */
const hastyClock: Clock = {
  ...systemClock,
  schedule: (delayMs, callback) => systemClock.schedule(delayMs / 40, callback),
};

let browser: Browser;
const opened: Page[] = [];
const served: ServedPage[] = [];
beforeAll(async () => {
  browser = await openBrowser();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((page) => page.browserContext().close()));
  await Promise.all(served.splice(0).map((page) => page.close()));
});
afterAll(() => browser.close());

async function serve(options: Partial<ServedPageOptions> = {}): Promise<ServedPage> {
  const page = await servePage({
    ...{ snapshot: smallNode(), explanation: EXPLANATION, clock: hastyClock },
    ...options,
  });
  served.push(page);
  return page;
}

async function open(
  { url }: ServedPage,
  screen: keyof typeof SCREENS = 'desktop',
  theme: Theme = 'light',
): Promise<OpenedPage> {
  const page = await openPage(browser, url, SCREENS[screen], theme);
  opened.push(page.page);
  return page;
}

const SIGHTS = (['desktop', 'phone'] as const).flatMap((screen) =>
  (['light', 'dark'] as const).map((theme) => ({ screen, theme })),
);

describe('what people see', () => {
  test.each(SIGHTS)('$screen, $theme', async ({ screen, theme }) => {
    const before = pastOf(smallNode(), LOOKS);
    const { page, errors } = await open(await serve({ before }), screen, theme);
    await untilDrawn(page);
    await until('the last look is drawn', async () => {
      const path = await page.$eval('.spark', (spark) => spark.getAttribute('d'));
      return path?.match(/[ML]/g)?.length === LOOKS + 1;
    });
    const picture = await page.screenshot({ fullPage: screen === 'phone' });
    expect(pictureDifference(`${screen}-${theme}`, picture)).toBeUndefined();
    expect(errors).toEqual([]);
  });

  test('nothing is wider than a phone', async () => {
    const { page } = await open(await serve({ snapshot: largeNode() }), 'phone');
    await untilDrawn(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  });
});

describe('for everybody', () => {
  test.each(SIGHTS)('no violation that axe finds: $screen, $theme', async ({ screen, theme }) => {
    const { page } = await open(await serve(), screen, theme);
    await untilDrawn(page);
    await page.click('[id="map-service-shop/web"]');
    await page.type('#from', 'shop/web');
    await page.evaluate(AXE);
    const found = await page.evaluate('axe.run({ resultTypes: ["violations"] })');
    expect(violationsOf(found)).toEqual([]);
  });

  test('by keyboard alone: search, walk, select, ask', async () => {
    const { page } = await open(await serve());
    await untilDrawn(page);
    await page.keyboard.press('/');
    await page.keyboard.type('cart');
    await page.waitForSelector('#found [role=option]');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#details-title');
    expect(await textOf(page, '#details-title')).toBe('shop/cart-7c9f4');
    await page.evaluate('document.querySelector(".map [tabindex=\'0\']").focus()');
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown'] as const)
      await page.keyboard.press(key);
    await page.keyboard.press('Enter');
    expect(await textOf(page, '#details-title')).toBe(
      await page.evaluate('document.activeElement.id.replace(/^map-[a-z]+-/, "")'),
    );
    await page.focus('#from');
    await page.keyboard.type('shop/cart-7c9f4');
    await page.keyboard.press('Tab');
    await page.keyboard.type('shop/payments:80');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.outcome');
    expect(await textOf(page, '.outcome')).toBe('It is refused');
    expect(await textOf(page, '.answer .verdict')).toBe('Verdict: refused at once.');
  });

  test('connections of what is selected, as they come and go, while somebody looks', async () => {
    const feed = new FakeFeed(Array.from({ length: 12 }, (_, i) => flowToWeb(41_000 + i)));
    const { page, errors } = await open(await serve({ feed }));
    await untilDrawn(page);
    expect(feed.listeners.size).toBe(0);
    await page.click('[id="map-service-shop/web"]');
    await page.waitForSelector('.flow.live');
    expect(await textOf(page, '.connections h3')).toBe('12 connections');
    expect(await textOf(page, '.connections li span')).toBe(
      'shop/cart-7c9f4:41011 → shop/web:http → shop/web-1:8080',
    );
    expect(await textOf(page, '.connections p')).toBe('2 more; weft flows tells all');
    feed.tell(
      flowToWeb(41_000, { kind: 'end' }),
      flowToWeb(50_000, { kind: 'denied', verdict: 'denied' }),
    );
    await page.waitForSelector('.flow.end');
    await page.waitForSelector('.flow.denied');
    expect(await textOf(page, '.connections h3')).toBe('11 connections');
    expect(errors).toEqual([]);
    await page.goto('about:blank');
    await until('nobody listens', () => feed.listeners.size === 0);
  });

  test('a click on both ends fills what is asked', async () => {
    const { page } = await open(await serve());
    await untilDrawn(page);
    await page.click('[id="map-pod-shop/db-0"]');
    await page.click('.actions button');
    await page.click('[id="map-service-shop/web"]');
    await page.click('.actions button');
    const values = await page.evaluate(
      '[...document.querySelectorAll(".field input")].map((each) => each.value)',
    );
    expect(values).toEqual(['shop/db-0', 'shop/web:http']);
  });

  test('colours can be chosen, and stay', async () => {
    const { page } = await open(await serve());
    await untilDrawn(page);
    await page.click('.theme');
    await page.reload();
    await untilDrawn(page);
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
  });
});

describe('live', () => {
  test('a denied connection lights up, and what changes is drawn', async () => {
    const served = await serve();
    const { page, errors } = await open(served);
    await untilDrawn(page);
    const { snapshot } = served;
    const others = snapshot.services.filter(({ key }) => key !== 'monitoring/prometheus');
    served.snapshot = {
      ...snapshot,
      services: others,
      denials: [
        denial('2', 'shop/cart-7c9f4', 'shop/db-0', new Date().toISOString()),
        ...snapshot.denials,
      ],
    };
    await page.waitForSelector('.map .edge.denied');
    expect(await page.$('[id="map-service-monitoring/prometheus"]')).toBeNull();
    expect(await textOf(page, '[id="map-pod-shop/db-0"] title')).toContain('denied a moment ago');
    expect(errors).toEqual([]);
  });

  test('an agent that goes is said, and one that comes back is followed', async () => {
    const served = await serve();
    const { page } = await open(served);
    await untilDrawn(page);
    served.readers.drop();
    await page.waitForSelector('.link.lost');
    await page.waitForSelector('.link.live');
  });

  test('out of sight it asks for nothing, and back in sight it goes on', async () => {
    const served = await serve({ feed: new FakeFeed() });
    const { page } = await open(served);
    await untilDrawn(page);
    expect(served.readers.count).toBe(1);
    const turnTo = (state: string) =>
      page.evaluate(
        `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });` +
          "document.dispatchEvent(new Event('visibilitychange'))",
      );
    await turnTo('hidden');
    await until('nobody watches', () => served.readers.count === 0);
    await turnTo('visible');
    await until('it watches again', () => served.readers.count === 1);
    await page.waitForSelector('.link.live');
  });

  test('500 pods and 1,000 Services: an update is drawn within 100 ms', async () => {
    const served = await serve({ snapshot: largeNode() });
    const { page } = await open(served);
    await untilDrawn(page);
    await page.evaluate('performance.clearMeasures("weft-update")');
    for (let turn = 1; turn <= 5; turn++) {
      served.snapshot = busier(served.snapshot, turn);
      await until('an update is drawn', async () => (await durations(page)).length >= turn);
    }
    const [, , median = Infinity] = (await durations(page)).toSorted((a, b) => a - b);
    expect(median).toBeLessThan(100);
  });
});

describe('with a token', () => {
  const token = 'a-token-of-some-length';

  test('it is asked for; a wrong one is refused, the right one opens the page and is kept', async () => {
    const { page } = await open(await serve({ token }));
    await page.waitForSelector('#token');
    await page.type('#token', 'wrong-token-of-length');
    await page.keyboard.press('Enter');
    await until('it is refused', async () => (await textOf(page, '#token-problem')) !== '');
    await page.click('#token', { count: 3 });
    await page.type('#token', token);
    await page.keyboard.press('Enter');
    await untilDrawn(page);
    await page.reload();
    await untilDrawn(page);
    // A browser would send one to every port of the host.
    expect(await page.browserContext().cookies()).toEqual([]);
    // What is asked later has the session too.
    await page.type('#from', 'shop/web');
    await page.type('#to', 'shop/db:5432');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.outcome');
  });

  test('one behind a # opens the page, and is gone from the address', async () => {
    const { url } = await serve({ token });
    const { page } = await openPage(browser, `${url}/#token=${token}`, SCREENS.desktop);
    opened.push(page);
    await untilDrawn(page);
    expect(page.url()).toBe(`${url}/`);
  });
});

async function textOf(page: Page, selector: string): Promise<string> {
  return String(
    await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`),
  ).trim();
}

async function durations(page: Page): Promise<readonly number[]> {
  return (await page.evaluate(
    'performance.getEntriesByName("weft-update").map(({ duration }) => duration)',
  )) as number[];
}

/** Every rate another one. */
function busier(snapshot: UiSnapshot, turn: number): UiSnapshot {
  const services = snapshot.services.map((each, i) => ({ ...each, perSecond: (i + turn) % 40 }));
  return { ...snapshot, services };
}

/** As axe gives them: what, and where. */
function violationsOf(found: unknown): readonly string[] {
  const { violations } = found as {
    violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
  };
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
