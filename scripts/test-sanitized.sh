#!/usr/bin/env bash
# Exercises the whole addon under AddressSanitizer and UndefinedBehaviorSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory -s -j2 -C native SANITIZE=1
runtime="$(${CXX:-g++} -print-file-name=libasan.so) $(${CXX:-g++} -print-file-name=libubsan.so)"
# Node itself is not instrumented and leaks on purpose at exit, so leak detection says nothing here.
LD_PRELOAD="$runtime" ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  node test/sanitized/addon.ts
