#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "bindings.h"
#include "environment.h"

namespace weft {

namespace {

// One mapping of /proc/self/smaps, as far as its lines have been read.
struct Mapping {
  unsigned long from = 0;
  unsigned long to = 0;
  bool isReadOnlyProgram = false;
};

// The line that begins a mapping: `from-to permissions offset device inode path`.
bool readHeader(const char* line, const char* program, Mapping* mapping) {
  char permissions[5];
  char path[PATH_MAX] = "";
  unsigned long from, to;
  int fields = sscanf(line, "%lx-%lx %4s %*s %*s %*s %4095s", &from, &to, permissions, path);
  if (fields < 3) return false;
  bool isReadOnly = permissions[1] == '-' && permissions[3] == 'p';
  *mapping = {from, to, isReadOnly && strcmp(path, program) == 0};
  return true;
}

// dropProgramPages(): takes the program's code and constants out of the process's resident memory;
// what is used again comes back from the page cache. Mappings with pages of their own, as relocated
// constants have, hold what is nowhere else: they stay.
Napi::Value dropProgramPages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  if (length < 0) return throwErrno(env, errno, "readlink", "/proc/self/exe");
  program[length] = '\0';
  FILE* maps = fopen("/proc/self/smaps", "re");
  if (maps == nullptr) return throwErrno(env, errno, "open", "/proc/self/smaps");
  char line[PATH_MAX + 128];
  Mapping mapping;
  int failure = 0;
  while (fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long ownKiB;
    if (sscanf(line, "Anonymous: %lu kB", &ownKiB) == 1) {
      if (!mapping.isReadOnlyProgram || ownKiB != 0) continue;
      void* start = reinterpret_cast<void*>(mapping.from);
      if (madvise(start, mapping.to - mapping.from, MADV_DONTNEED) != 0) failure = errno;
    } else {
      readHeader(line, program, &mapping);
    }
  }
  fclose(maps);
  if (failure != 0) return throwErrno(env, failure, "madvise");
  return env.Undefined();
}

}  // namespace

void exportMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("dropProgramPages", Napi::Function::New<dropProgramPages>(env));
}

}  // namespace weft
