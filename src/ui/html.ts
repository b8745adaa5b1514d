import htm from 'htm';
import { Fragment, h, type VNode } from 'preact';

/** Markup as tagged templates: nothing has to be compiled, and values are never taken for markup. */
export const html: (parts: TemplateStringsArray, ...values: unknown[]) => VNode = (
  parts,
  ...values
) => {
  const made = bound(parts, ...values);
  return Array.isArray(made) ? h(Fragment, null, ...made) : made;
};

const bound = htm.bind(h);
