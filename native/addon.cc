#include <napi.h>

#include "bindings.h"
#include "environment.h"

namespace {

// setErrorFactory((errno, syscall, detail) => Error)
Napi::Value setErrorFactory(const Napi::CallbackInfo& info) {
  weft::Environment::of(info.Env())->setErrorFactory(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new weft::Environment());
  exports.Set("setErrorFactory", Napi::Function::New<setErrorFactory>(env));
  weft::exportFiles(env, exports);
  weft::exportMemory(env, exports);
  weft::exportNetlink(env, exports);
  weft::exportNetlinkLater(env, exports);
  weft::exportNetns(env, exports);
  weft::exportPacket(env, exports);
  weft::exportUnixSocket(env, exports);
  weft::exportWatch(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(weft, initialize)
