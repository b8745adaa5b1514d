#include <sys/file.h>

#include <cerrno>

#include "bindings.h"
#include "environment.h"

namespace weft {

namespace {

// flock(fd, 'exclusive' | 'unlock') -> false when somebody else holds it. Never blocks.
Napi::Value lockFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = info[0].As<Napi::Number>().Int32Value();
  bool unlock = info[1].As<Napi::String>().Utf8Value() == "unlock";
  int result;
  do {
    result = flock(fd, unlock ? LOCK_UN : LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return Napi::Boolean::New(env, true);
  if (errno == EWOULDBLOCK) return Napi::Boolean::New(env, false);
  return throwErrno(env, errno, "flock");
}

}  // namespace

void exportFiles(Napi::Env env, Napi::Object exports) {
  exports.Set("flock", Napi::Function::New<lockFile>(env));
}

}  // namespace weft
