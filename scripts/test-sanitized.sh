#!/usr/bin/env bash
# Exercises the whole addon under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory -s -j2 -C native SANITIZE=1
runtime="$(${CXX:-g++} -print-file-name=libasan.so) $(${CXX:-g++} -print-file-name=libubsan.so)"
# Node itself has no frame pointers: only the slow unwinder sees past it to who asked for memory.
LD_PRELOAD="$runtime" ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:fast_unwind_on_malloc=0 \
  LSAN_OPTIONS=suppressions=test/sanitized/node-leaks.supp:print_suppressions=0 \
  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  node test/sanitized/addon.ts
