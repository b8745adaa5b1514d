#ifndef WEFT_NATIVE_BINDINGS_H_
#define WEFT_NATIVE_BINDINGS_H_

#include <napi.h>

namespace weft {

// Each file adds its functions; src/netlink/wire.ts holds their types and validates arguments.
void exportFiles(Napi::Env env, Napi::Object exports);
void exportMemory(Napi::Env env, Napi::Object exports);
void exportNetlink(Napi::Env env, Napi::Object exports);
void exportNetlinkLater(Napi::Env env, Napi::Object exports);
void exportNetns(Napi::Env env, Napi::Object exports);
void exportPacket(Napi::Env env, Napi::Object exports);
void exportUnixSocket(Napi::Env env, Napi::Object exports);
void exportWatch(Napi::Env env, Napi::Object exports);

}  // namespace weft

#endif  // WEFT_NATIVE_BINDINGS_H_
