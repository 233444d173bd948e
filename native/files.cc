/**
 * files.cc: calls on files that Node does not have: where the holes are, times to the nanosecond, special files.
 */
#include "files.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "napi_util.h"

namespace {

using namespace locktable;

constexpr int64_t kMaxSafe = (int64_t{1} << 53) - 1;

/** (fd, offset, wantHole) -> where the next hole or data begins, at or behind `offset`; -1 if there is none. */
Napi::Value fileSeek(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(readInteger(info, 0, "fd", 0, INT32_MAX));
  const int64_t offset = readInteger(info, 1, "offset", 0, kMaxSafe);
  const off_t found = lseek(fd, offset, readBoolean(info, 2, "wantHole") ? SEEK_HOLE : SEEK_DATA);
  if (found < 0 && errno != ENXIO) throwErrno(info.Env(), errno, "lseek");
  return Napi::Number::New(info.Env(), static_cast<double>(found));
}

/** (path or fd, seconds, nanoseconds): the time of the last change and of the last access; with a path, of a link itself. */
Napi::Value fileSetTime(const Napi::CallbackInfo& info) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(readInteger(info, 1, "seconds", -kMaxSafe, kMaxSafe));
  time.tv_nsec = static_cast<long>(readInteger(info, 2, "nanoseconds", 0, 999999999));
  const timespec times[2] = {time, time};
  if (info[0].IsNumber()) {
    if (futimens(static_cast<int>(readInteger(info, 0, "fd", 0, INT32_MAX)), times) != 0) throwErrno(info.Env(), errno, "futimens");
    return info.Env().Undefined();
  }
  const std::string path = readTextOrBytes(info, 0, "path");
  if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) throwErrno(info.Env(), errno, "utimensat", path);
  return info.Env().Undefined();
}

/** (path, mode with type, major, minor): a device, FIFO or socket. */
Napi::Value fileMakeNode(const Napi::CallbackInfo& info) {
  const std::string path = readTextOrBytes(info, 0, "path");
  const auto mode = static_cast<mode_t>(readInteger(info, 1, "mode", 0, UINT16_MAX));
  const auto device = makedev(static_cast<unsigned>(readInteger(info, 2, "major", 0, UINT32_MAX)),
                              static_cast<unsigned>(readInteger(info, 3, "minor", 0, UINT32_MAX)));
  if (mknod(path.c_str(), mode, device) != 0) throwErrno(info.Env(), errno, "mknod", path);
  return info.Env().Undefined();
}

}  // namespace

void registerFiles(Napi::Env env, Napi::Object exports) {
  exports.Set("fileSeek", Napi::Function::New(env, fileSeek, "fileSeek"));
  exports.Set("fileSetTime", Napi::Function::New(env, fileSetTime, "fileSetTime"));
  exports.Set("fileMakeNode", Napi::Function::New(env, fileMakeNode, "fileMakeNode"));
}
