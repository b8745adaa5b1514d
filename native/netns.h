#ifndef WEFT_NATIVE_NETNS_H_
#define WEFT_NATIVE_NETNS_H_

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "unique_fd.h"

namespace weft {

// Runs `action` with this thread inside the network namespace `netnsFd` (negative: where it is)
// and gives its result, or the errno of a failed entry through `error`. No JavaScript may run in
// `action`: a pool thread started meanwhile would inherit the foreign namespace for good. When the
// way back fails the process cannot be trusted with another packet, so it ends.
template <typename Action>
int runInNetns(int netnsFd, Action action) {
  if (netnsFd < 0) return action();
  UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home.valid()) return errno;
  if (setns(netnsFd, CLONE_NEWNET) != 0) return errno;
  int result = action();
  if (setns(home.get(), CLONE_NEWNET) != 0) {
    perror("weft: cannot return to the own network namespace");
    abort();
  }
  return result;
}

}  // namespace weft

#endif  // WEFT_NATIVE_NETNS_H_
