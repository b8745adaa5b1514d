/** Dark or light: as the system has it, until somebody says otherwise. */
export type Theme = 'light' | 'dark';

const KEY = 'weft-theme';

export function currentTheme(): Theme {
  const chosen = readChoice();
  if (chosen !== undefined) return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
}

export function chooseTheme(theme: Theme): void {
  applyTheme(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Without storage the choice holds for this page.
  }
}

/** Follows the system while nobody has chosen. */
export function followSystem(listener: (theme: Theme) => void): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    if (readChoice() === undefined) listener(currentTheme());
  });
}

function readChoice(): Theme | undefined {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === 'light' || stored === 'dark' ? stored : undefined;
  } catch {
    return undefined;
  }
}
