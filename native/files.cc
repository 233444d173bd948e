/**
 * files.cc: calls on files that Node does not have: where the holes are, times to the nanosecond, special files, everything of a file system
 * on the disk; and a part of a file read in one call, for which Node needs five.
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

struct OpenFile {
  const int fd;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

int openRetried(const std::string& path, int flags) {
  int fd;
  do fd = ::open(path.c_str(), flags);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/** @returns 0 or an errno; `*filled` is less than `length` where the file ends before */
int readRetried(int fd, char* target, size_t length, int64_t offset, size_t* filled) {
  *filled = 0;
  while (*filled < length) {
    const ssize_t count = pread(fd, target + *filled, length - *filled, offset + static_cast<int64_t>(*filled));
    if (count == 0) break;
    if (count > 0) *filled += static_cast<size_t>(count);
    else if (errno != EINTR) return errno;
  }
  return 0;
}

/**
 * (path, target, offset, changed) -> how many bytes from `offset` on are in `target` now: all that there are, or as many as it takes. -1: it
 * is no regular file, nothing was read. `changed` gets the time of the last change of status, asked after reading: seconds, nanoseconds.
 */
Napi::Value fileRead(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = readTextOrBytes(info, 0, "path");
  if (!info[1].IsBuffer()) throw Napi::TypeError::New(env, "target must be a Buffer");
  const auto target = info[1].As<Napi::Buffer<char>>();
  const int64_t offset = readInteger(info, 2, "offset", 0, kMaxSafe);
  if (!info[3].IsTypedArray() || info[3].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      info[3].As<Napi::Float64Array>().ElementLength() != 2) {
    throw Napi::TypeError::New(env, "changed must be a Float64Array of 2");
  }
  auto changed = info[3].As<Napi::Float64Array>();
  // Nothing here waits for somebody at the other end of a FIFO, or follows a link that took the file's place.
  const OpenFile file{openRetried(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (file.fd < 0) throwErrno(env, errno, "open", path);
  struct stat status {};
  if (fstat(file.fd, &status) != 0) throwErrno(env, errno, "fstat");
  if (!S_ISREG(status.st_mode)) return Napi::Number::New(env, -1);
  size_t filled = 0;
  const int error = readRetried(file.fd, target.Data(), target.Length(), offset, &filled);
  if (error != 0) throwErrno(env, error, "read");
  if (fstat(file.fd, &status) != 0) throwErrno(env, errno, "fstat");
  changed.Data()[0] = static_cast<double>(status.st_ctim.tv_sec);
  changed.Data()[1] = static_cast<double>(status.st_ctim.tv_nsec);
  return Napi::Number::New(env, static_cast<double>(filled));
}

/** syncfs(2), which may take minutes, in a thread of libuv's pool. */
class FilesystemSync : public Napi::AsyncWorker {
 public:
  FilesystemSync(Napi::Env env, const std::string& path) : Napi::AsyncWorker(env), path_(path), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    const OpenFile file{openRetried(path_, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    if (file.fd < 0) fail("open");
    else if (syncfs(file.fd) != 0) fail("syncfs");
  }

  void OnOK() override {
    try {
      if (error_ == 0) deferred_.Resolve(Env().Undefined());
      else deferred_.Reject(errnoError(Env(), error_, syscall_, path_).Value());
    } catch (const Napi::Error&) {
      // The JavaScript thread is being terminated, and takes no values any more: nobody waits.
    }
  }

 private:
  void fail(const char* syscall) {
    error_ = errno;
    syscall_ = syscall;
  }

  const std::string path_;
  const Napi::Promise::Deferred deferred_;
  int error_ = 0;
  const char* syscall_ = "";
};

/** (path) -> a promise: everything of the file system that has the path is on the disk. */
Napi::Value fileSyncFilesystem(const Napi::CallbackInfo& info) {
  auto* worker = new FilesystemSync(info.Env(), readTextOrBytes(info, 0, "path"));
  const Napi::Promise promise = worker->promise();
  worker->Queue();  // it deletes itself
  return promise;
}

}  // namespace

void registerFiles(Napi::Env env, Napi::Object exports) {
  exports.Set("fileSeek", Napi::Function::New(env, fileSeek, "fileSeek"));
  exports.Set("fileSetTime", Napi::Function::New(env, fileSetTime, "fileSetTime"));
  exports.Set("fileRead", Napi::Function::New(env, fileRead, "fileRead"));
  exports.Set("fileSyncFilesystem", Napi::Function::New(env, fileSyncFilesystem, "fileSyncFilesystem"));
  exports.Set("fileMakeNode", Napi::Function::New(env, fileMakeNode, "fileMakeNode"));
}
