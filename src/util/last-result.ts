/** The function, which computes anew only when an argument is another one than at the last call. */
export function withLastResult<A extends readonly unknown[], R>(
  compute: (...args: A) => R,
): (...args: A) => R {
  let last: { readonly args: A; readonly result: R } | undefined;
  return (...args) => {
    const known = last;
    if (known?.args.every((arg, i) => Object.is(arg, args[i])) === true) return known.result;
    last = { args, result: compute(...args) };
    return last.result;
  };
}
