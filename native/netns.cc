#include "netns.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cstdlib>
#include <string>

#include "bindings.h"
#include "environment.h"

namespace weft {

namespace {

constexpr size_t kMaxSysctlBytes = 4096;

// A container's own /proc/sys is read-only; WEFT_SYSCTL_DIR is where the node's is mounted. What is
// below net/ is always that of the thread's network namespace, wherever procfs is mounted.
std::string sysctlFile(const Napi::Value& path) {
  const char* mounted = getenv("WEFT_SYSCTL_DIR");
  std::string directory = mounted == nullptr || *mounted == '\0' ? "/proc/sys" : mounted;
  return directory + "/" + path.As<Napi::String>().Utf8Value();
}

int readWhole(const std::string& file, char* buffer, ssize_t* length) {
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  do {
    *length = read(fd.get(), buffer, kMaxSysctlBytes);
  } while (*length < 0 && errno == EINTR);
  return *length < 0 ? errno : 0;
}

int writeWhole(const std::string& file, const std::string& value) {
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno;
  ssize_t written;
  do {
    written = write(fd.get(), value.data(), value.size());
  } while (written < 0 && errno == EINTR);
  return written < 0 ? errno : 0;
}

// inspectNamespace(fd) -> { fsMagic, nsType }: what a descriptor really is; nsType is 0 when the
// kernel does not take it for a namespace.
Napi::Value inspectNamespace(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd = info[0].As<Napi::Number>().Int32Value();
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return throwErrno(env, errno, "fstatfs");
  int type = ioctl(fd, NS_GET_NSTYPE);
  Napi::Object result = Napi::Object::New(env);
  result.Set("fsMagic", Napi::Number::New(env, static_cast<double>(fs.f_type)));
  result.Set("nsType", Napi::Number::New(env, type < 0 ? 0 : type));
  return result;
}

// readSysctl(netnsFd, path) -> text as the kernel gives it.
Napi::Value readSysctl(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string file = sysctlFile(info[1]);
  char buffer[kMaxSysctlBytes];
  ssize_t length = 0;
  int error = runInNetns(info[0].As<Napi::Number>().Int32Value(),
                         [&] { return readWhole(file, buffer, &length); });
  if (error != 0) return throwErrno(env, error, "read", file.c_str());
  return Napi::String::New(env, buffer, static_cast<size_t>(length));
}

// writeSysctl(netnsFd, path, value)
Napi::Value writeSysctl(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string file = sysctlFile(info[1]);
  std::string value = info[2].As<Napi::String>().Utf8Value();
  int error =
      runInNetns(info[0].As<Napi::Number>().Int32Value(), [&] { return writeWhole(file, value); });
  if (error != 0) return throwErrno(env, error, "write", file.c_str());
  return env.Undefined();
}

}  // namespace

void exportNetns(Napi::Env env, Napi::Object exports) {
  exports.Set("inspectNamespace", Napi::Function::New<inspectNamespace>(env));
  exports.Set("readSysctl", Napi::Function::New<readSysctl>(env));
  exports.Set("writeSysctl", Napi::Function::New<writeSysctl>(env));
}

}  // namespace weft
