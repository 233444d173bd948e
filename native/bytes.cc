/**
 * bytes.cc: bytes that threads share: copied at the rate of memory, which V8 does not do, as it must expect another thread to write them meanwhile;
 * written into many new files in one call; and kept when they are freed.
 */
#include "bytes.h"

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "napi_util.h"

namespace {

using namespace locktable;

Napi::Buffer<char> readBytes(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsBuffer()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a Uint8Array");
  return info[index].As<Napi::Buffer<char>>();
}

/** (target, at, source): all of `source` to the place `at` of `target`. No other thread may write either meanwhile. */
Napi::Value bytesCopy(const Napi::CallbackInfo& info) {
  const auto target = readBytes(info, 0, "target");
  const auto source = readBytes(info, 2, "source");
  const auto at = static_cast<size_t>(readInteger(info, 1, "at", 0, static_cast<int64_t>(target.Length())));
  if (source.Length() > target.Length() - at) throw Napi::RangeError::New(info.Env(), "source must fit into target");
  if (source.Length() > 0) std::memmove(target.Data() + at, source.Data(), source.Length());
  return info.Env().Undefined();
}

/**
 * A block that is mapped and freed tells glibc that blocks of its size come and go: from then on they lie in its heaps, and what is free at the end of one
 * is given back when it is more than twice that (mallopt(3), M_MMAP_THRESHOLD). Nothing is touched. Other C libraries take no notice.
 */
Napi::Value bytesKeepFreed(const Napi::CallbackInfo& info) {
  constexpr size_t kLargest = 32 << 20;  // glibc's DEFAULT_MMAP_THRESHOLD_MAX; of larger ones it learns nothing
  constexpr size_t kRounding = 64 << 10;
  void* volatile block = std::malloc(kLargest - kRounding);  // volatile: or the compiler makes nothing of both
  std::free(block);
  return info.Env().Undefined();
}

/** A file's numbers, as in src/datastore/tree/write.ts. */
enum : size_t { kFrom, kTo, kMode, kUid, kGid, kSeconds, kNanoseconds, kNumbers };

/** What a file gets from the system when it is made. */
struct Natural {
  double uid;
  double gid;
  mode_t bits;
};

struct Failure {
  int error;
  const char* syscall;
};

/** Contents, owner, mode and times of a new file that is open. */
Failure fill(int fd, const char* bytes, const double* numbers, bool isOwned, bool isNatural) {
  for (auto at = static_cast<size_t>(numbers[kFrom]), end = static_cast<size_t>(numbers[kTo]); at < end;) {
    const ssize_t count = write(fd, bytes + at, end - at);
    if (count >= 0) at += static_cast<size_t>(count);
    else if (errno != EINTR) return {errno, "write"};
  }
  if (!isOwned && fchown(fd, static_cast<uid_t>(numbers[kUid]), static_cast<gid_t>(numbers[kGid])) != 0) return {errno, "fchown"};
  // After the owner, which takes away setuid.
  if (!isNatural && fchmod(fd, static_cast<mode_t>(numbers[kMode])) != 0) return {errno, "fchmod"};
  timespec time{};
  time.tv_sec = static_cast<time_t>(numbers[kSeconds]);
  time.tv_nsec = static_cast<long>(numbers[kNanoseconds]);
  const timespec times[2] = {time, time};
  return futimens(fd, times) == 0 ? Failure{0, ""} : Failure{errno, "futimens"};
}

/** A new file with all that it gets. For its owner alone until it has its attributes, unless it is made with them. */
Failure writeFile(const std::string& path, const char* bytes, const double* numbers, const Natural& natural) {
  const auto mode = static_cast<mode_t>(numbers[kMode]);
  const bool isOwned = numbers[kUid] < 0 || (numbers[kUid] == natural.uid && numbers[kGid] == natural.gid);
  const bool isNatural = isOwned && (mode & ~natural.bits) == 0;
  int fd;
  do fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, isNatural ? mode : 0600);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return {errno, "open"};
  const Failure failure = fill(fd, bytes, numbers, isOwned, isNatural);
  // Some file systems say only now that they have no room. After EINTR it is closed all the same.
  if (close(fd) != 0 && errno != EINTR && failure.error == 0) return {errno, "close"};
  return failure;
}

void checkFile(Napi::Env env, const double* numbers, size_t length) {
  // Comparisons are written so that NaN fails them.
  if (!(numbers[kFrom] >= 0 && numbers[kFrom] <= numbers[kTo] && numbers[kTo] <= static_cast<double>(length))) {
    throw Napi::RangeError::New(env, "a file must be a range of the bytes");
  }
  if (!(numbers[kMode] >= 0 && numbers[kMode] <= 07777 && numbers[kUid] >= -1 && numbers[kUid] <= UINT32_MAX && numbers[kGid] >= -1 &&
        numbers[kGid] <= UINT32_MAX && std::abs(numbers[kSeconds]) <= 9007199254740991.0 && numbers[kNanoseconds] >= 0 && numbers[kNanoseconds] <= 999999999)) {
    throw Napi::RangeError::New(env, "a file has an attribute that no file can have");
  }
}

/**
 * (bytes, folder, names, files, natural): makes files below the folder, `names` with a NUL between. For each, kNumbers numbers: its range of the
 * bytes and what it gets. `natural`: uid, gid, and the bits of a mode that a new file may have. Stops at the first that fails.
 */
Napi::Value bytesWriteFiles(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto bytes = readBytes(info, 0, "bytes");
  const std::string folder = readTextOrBytes(info, 1, "folder") + "/";
  const auto names = readBytes(info, 2, "names");
  for (const size_t index : {3, 4}) {
    if (!info[index].IsTypedArray() || info[index].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      throw Napi::TypeError::New(env, "files and natural must be Float64Arrays");
    }
  }
  auto files = info[3].As<Napi::Float64Array>();
  auto natural = info[4].As<Napi::Float64Array>();
  if (natural.ElementLength() != 3 || !(natural.Data()[2] >= 0 && natural.Data()[2] <= 07777)) {
    throw Napi::TypeError::New(env, "natural must be a uid, a gid, and bits of a mode");
  }
  const Natural usual{natural.Data()[0], natural.Data()[1], static_cast<mode_t>(natural.Data()[2])};
  const char* name = names.Data();
  const char* const end = name + names.Length();
  for (size_t file = 0; file < files.ElementLength(); file += kNumbers) {
    if (files.ElementLength() - file < kNumbers || name >= end) throw Napi::RangeError::New(env, "files must have a name and seven numbers each");
    const double* const numbers = files.Data() + file;
    checkFile(env, numbers, bytes.Length());
    const auto* const found = static_cast<const char*>(std::memchr(name, '\0', static_cast<size_t>(end - name)));
    const char* const nameEnd = found == nullptr ? end : found;
    const std::string path = folder + std::string(name, nameEnd);
    name = found == nullptr ? end : found + 1;
    const Failure failure = writeFile(path, bytes.Data(), numbers, usual);
    if (failure.error != 0) throwErrno(env, failure.error, failure.syscall, path);
  }
  return env.Undefined();
}

}  // namespace

void registerBytes(Napi::Env env, Napi::Object exports) {
  exports.Set("bytesCopy", Napi::Function::New(env, bytesCopy, "bytesCopy"));
  exports.Set("bytesKeepFreed", Napi::Function::New(env, bytesKeepFreed, "bytesKeepFreed"));
  exports.Set("bytesWriteFiles", Napi::Function::New(env, bytesWriteFiles, "bytesWriteFiles"));
}
