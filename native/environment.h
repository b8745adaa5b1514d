#ifndef WEFT_NATIVE_ENVIRONMENT_H_
#define WEFT_NATIVE_ENVIRONMENT_H_

#include <napi.h>

#include <cstdint>
#include <memory>

namespace weft {

// What one JavaScript environment (main thread or worker) keeps: nothing here is global, so the
// addon loads any number of times in one process.
class Environment {
 public:
  static constexpr size_t kScratchBytes = 1 << 18;

  static Environment* of(Napi::Env env) { return env.GetInstanceData<Environment>(); }

  // Receive buffer shared by all sockets of the environment: JavaScript is single-threaded, and
  // every datagram is copied out before control returns to it.
  uint8_t* scratch();

  // Makes `makeError(errno, syscall, detail)` the way system errors become JavaScript errors.
  void setErrorFactory(Napi::Function makeError) { makeError_ = Napi::Persistent(makeError); }
  Napi::FunctionReference& errorFactory() { return makeError_; }

 private:
  std::unique_ptr<uint8_t[]> scratch_;
  Napi::FunctionReference makeError_;
};

// Throws the JavaScript error for `error` (an errno) of `syscall`; `detail` names the object.
Napi::Value throwErrno(Napi::Env env, int error, const char* syscall, const char* detail = "");

}  // namespace weft

#endif  // WEFT_NATIVE_ENVIRONMENT_H_
