#include "environment.h"

namespace weft {

uint8_t* Environment::scratch() {
  if (scratch_ == nullptr) scratch_.reset(new uint8_t[kScratchBytes]);
  return scratch_.get();
}

Napi::Value throwErrno(Napi::Env env, int error, const char* syscall, const char* detail) {
  Napi::FunctionReference& factory = Environment::of(env)->errorFactory();
  napi_value arguments[] = {Napi::Number::New(env, error), Napi::String::New(env, syscall),
                            Napi::String::New(env, detail)};
  napi_value thrown = nullptr;
  napi_value undefined = env.Undefined();
  if (factory.IsEmpty() ||
      napi_call_function(env, undefined, factory.Value(), 3, arguments, &thrown) != napi_ok) {
    if (!env.IsExceptionPending()) napi_throw_error(env, nullptr, syscall);
    return env.Undefined();
  }
  napi_throw(env, thrown);
  return env.Undefined();
}

}  // namespace weft
