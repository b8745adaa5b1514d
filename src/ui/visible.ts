/** Work that goes on while somebody can see the page. */

const AGAIN_MS = 3_000;
/** Who looks away for a moment finds it as it was. */
const HIDDEN_MS = 5_000;

export interface VisibleWork {
  /** From its begin, now. */
  again(): void;
  end(): void;
}

/**
 * Runs `work`, and again some time after its end as long as it gives true; its signal is aborted when the page has
 * been out of sight for a while, and when it is to begin anew. Back in sight it begins.
 */
export function whileVisible(work: (signal: AbortSignal) => Promise<boolean>): VisibleWork {
  let underWay: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const rest = () => {
    clearTimeout(timer);
    underWay?.abort();
    underWay = undefined;
  };
  const again = () => {
    rest();
    const own = new AbortController();
    underWay = own;
    void work(own.signal).then((isToGoOn) => {
      if (own === underWay && isToGoOn) timer = setTimeout(again, AGAIN_MS);
    });
  };
  let hiding: ReturnType<typeof setTimeout> | undefined;
  const onChange = () => {
    clearTimeout(hiding);
    if (document.visibilityState === 'hidden') hiding = setTimeout(rest, HIDDEN_MS);
    else if (underWay === undefined) again();
  };
  document.addEventListener('visibilitychange', onChange);
  again();
  // Opened behind others.
  if (document.visibilityState === 'hidden') onChange();
  return {
    again,
    end: () => {
      document.removeEventListener('visibilitychange', onChange);
      clearTimeout(hiding);
      rest();
    },
  };
}
