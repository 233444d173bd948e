/** mapping.cc: see mapping.h. */
#include "mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bell.h"
#include "liveness.h"
#include "napi_util.h"

namespace locktable {

namespace {

constexpr long kTmpfsMagic = 0x01021994;
constexpr int64_t kLargestSafeInteger = (int64_t{1} << 53) - 1;

void keepMapping(napi_env, void*, void*) {}

}  // namespace

int Region::openFile(const std::string& path, int* fd) {
  // Non-blocking and without becoming a controlling terminal: the path may name a FIFO or a device; stat() tells.
  *fd = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  return *fd >= 0 ? 0 : errno;
}

/** An unnamed file vanishes when its descriptor is closed, so a failure leaves nothing behind. */
int Region::createUnnamedFile(const std::string& directory, int64_t sizeBytes, unsigned mode, int* fd, const char** syscall) {
  *syscall = "open";
  *fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (*fd < 0) return errno;
  *syscall = "fchmod";  // the process's umask has no say in who may open the table
  int result = ::fchmod(*fd, mode);
  if (result == 0) {
    *syscall = "fallocate";
    do {
      result = ::fallocate(*fd, 0, 0, sizeBytes);
    } while (result != 0 && errno == EINTR);
  }
  if (result == 0) return 0;
  const int error = errno;
  ::close(*fd);
  *fd = -1;
  return error;
}

Napi::Function Region::define(Napi::Env env) {
  return DefineClass(env, "Region",
                     {
                         InstanceMethod("stat", &Region::stat),
                         InstanceMethod("link", &Region::link),
                         InstanceMethod("map", &Region::map),
                         InstanceMethod("lockByte", &Region::lockByte),
                         InstanceMethod("unlockByte", &Region::unlockByte),
                         InstanceMethod("isByteHeld", &Region::isByteHeld),
                         InstanceMethod("startSentinel", &Region::startSentinel),
                         InstanceMethod("stopSentinel", &Region::stopSentinel),
                         InstanceMethod("setWaiting", &Region::setWaiting),
                         InstanceMethod("wake", &Region::wake),
                         InstanceMethod("waitBell", &Region::waitBell),
                         InstanceMethod("close", &Region::close),
                     });
}

Region::Region(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Region>(info), env_(info.Env()) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(env_, "regions are made by open() and createUnnamed()");
  fd_ = *info[0].As<Napi::External<int>>().Data();
  napi_add_env_cleanup_hook(env_, abandonAtExit, this);
  isHooked_ = true;
}

Region::~Region() {
  // A mapped region holds a reference to itself, so what is collected here has neither mapping nor sentinel.
  closeFile();
}

/** The environment goes away and nobody called close(). The sentinel's own hook, which is younger, has run before. */
void Region::abandonAtExit(void* data) {
  auto* region = static_cast<Region*>(data);
  Napi::HandleScope scope(region->env_);
  region->isHooked_ = false;
  region->sentinel_.reset();
  region->closeFile();
  region->unmap(true);
}

void Region::requireOpen(Napi::Env env, const char* syscall) const {
  if (fd_ < 0) throwErrno(env, EBADF, syscall);
}

/** The participant number in argument 0, of a region that maps the participants. */
uint32_t Region::requireParticipant(const Napi::CallbackInfo& info, const char* syscall) const {
  requireOpen(info.Env(), syscall);
  if (mappedBytes_ < layout::kRosterWords * sizeof(Word)) {
    throw Napi::Error::New(info.Env(), "the region does not map the participants");
  }
  return static_cast<uint32_t>(readInteger(info, 0, "participantNumber", 1, layout::kParticipantLimit - 1));
}

Napi::Value Region::stat(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "fstat");
  struct stat file;
  if (::fstat(fd_, &file) != 0) throwErrno(env, errno, "fstat");
  struct statfs fileSystem;
  if (::fstatfs(fd_, &fileSystem) != 0) throwErrno(env, errno, "fstatfs");
  Napi::Object result = Napi::Object::New(env);
  result.Set("identity", std::to_string(file.st_dev) + ":" + std::to_string(file.st_ino));
  result.Set("sizeBytes", static_cast<double>(file.st_size));
  result.Set("mode", static_cast<double>(file.st_mode));
  result.Set("uid", static_cast<double>(file.st_uid));
  result.Set("linkCount", static_cast<double>(file.st_nlink));
  result.Set("isRegular", static_cast<bool>(S_ISREG(file.st_mode)));
  result.Set("isTmpfs", static_cast<long>(fileSystem.f_type) == kTmpfsMagic);
  return result;
}

Napi::Value Region::link(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "linkat");
  const std::string path = readPath(info, 0, "path");
  // By way of /proc, because linking a bare descriptor (AT_EMPTY_PATH) needs a capability.
  const std::string descriptor = "/proc/self/fd/" + std::to_string(fd_);
  if (::linkat(AT_FDCWD, descriptor.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return Napi::Boolean::New(env, true);
  }
  if (errno != EEXIST) throwErrno(env, errno, "linkat", path);
  return Napi::Boolean::New(env, false);
}

Napi::Value Region::map(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "mmap");
  const int64_t sizeBytes = readInteger(info, 0, "sizeBytes", sizeof(Word), kLargestSafeInteger);
  if (words_ != nullptr) throw Napi::Error::New(env, "the region is mapped already");
  struct stat file;
  if (::fstat(fd_, &file) != 0) throwErrno(env, errno, "fstat");
  if (file.st_size < sizeBytes) throwErrno(env, ENXIO, "mmap");  // touching the rest would raise SIGBUS
  void* address = ::mmap(nullptr, static_cast<size_t>(sizeBytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (address == MAP_FAILED) throwErrno(env, errno, "mmap");
  napi_value buffer;
  const napi_status status =
      napi_create_external_arraybuffer(env, address, static_cast<size_t>(sizeBytes), keepMapping, nullptr, &buffer);
  if (status != napi_ok) {
    ::munmap(address, static_cast<size_t>(sizeBytes));
    checkStatus(env, status);
  }
  words_ = static_cast<Word*>(address);
  mappedBytes_ = static_cast<size_t>(sizeBytes);
  buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
  Ref();
  return buffer_.Value();
}

Napi::Value Region::lockByte(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "fcntl");
  const int64_t offset = readInteger(info, 0, "offset", 0, kLargestSafeInteger);
  const int error = locktable::lockByte(fd_, offset, readBoolean(info, 1, "exclusive"));
  if (error != 0 && error != EAGAIN) throwErrno(env, error, "fcntl");
  return Napi::Boolean::New(env, error == 0);
}

Napi::Value Region::unlockByte(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "fcntl");
  const int error = locktable::unlockByte(fd_, readInteger(info, 0, "offset", 0, kLargestSafeInteger));
  if (error != 0) throwErrno(env, error, "fcntl");
  return env.Undefined();
}

Napi::Value Region::isByteHeld(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  requireOpen(env, "fcntl");
  bool held = false;
  const int error = probeByte(fd_, readInteger(info, 0, "offset", 0, kLargestSafeInteger), &held);
  if (error != 0) throwErrno(env, error, "fcntl");
  return Napi::Boolean::New(env, held);
}

Napi::Value Region::startSentinel(const Napi::CallbackInfo& info) {
  const uint32_t number = requireParticipant(info, "startSentinel");
  const Napi::Function onRing = readFunction(info, 1, "onRing");
  if (sentinel_ != nullptr) throw Napi::Error::New(info.Env(), "the region has a sentinel already");
  sentinel_ = Ringer::start(info.Env(), words_, fd_, number, onRing);
  return info.Env().Undefined();
}

Napi::Value Region::stopSentinel(const Napi::CallbackInfo& info) {
  requireOpen(info.Env(), "stopSentinel");
  if (sentinel_ != nullptr) sentinel_->leave();
  sentinel_.reset();
  return info.Env().Undefined();
}

Napi::Value Region::setWaiting(const Napi::CallbackInfo& info) {
  requireOpen(info.Env(), "setWaiting");
  const bool waiting = readBoolean(info, 0, "waiting");
  if (sentinel_ == nullptr) throw Napi::Error::New(info.Env(), "the region has no sentinel");
  sentinel_->setWaiting(waiting);
  return info.Env().Undefined();
}

Napi::Value Region::wake(const Napi::CallbackInfo& info) {
  const uint32_t number = requireParticipant(info, "futex");
  wakeSleepers(words_, number, static_cast<Word>(readInteger(info, 1, "sleepers", 0, layout::kBellSleepers)));
  return info.Env().Undefined();
}

Napi::Value Region::waitBell(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint32_t number = requireParticipant(info, "futex");
  // JavaScript reads words as signed or unsigned, as it likes: both name the same 32 bits.
  const Word expected = static_cast<Word>(readInteger(info, 1, "expected", INT32_MIN, UINT32_MAX));
  if (!info[2].IsNumber()) throw Napi::TypeError::New(env, "timeoutMs must be a number");
  const double timeoutMs = info[2].As<Napi::Number>().DoubleValue();
  if (!(timeoutMs >= 0)) throw Napi::RangeError::New(env, "timeoutMs must not be negative");
  const bool isLimited = timeoutMs < static_cast<double>(kLargestSafeInteger) / 1e6;
  timespec deadline = {};
  if (isLimited) deadline = toTimespec(monotonicNanoseconds() + static_cast<uint64_t>(timeoutMs * 1e6));
  const int error = futexWait(participantWord(words_, number, layout::kSyncBellWord), expected, isLimited ? &deadline : nullptr);
  return Napi::Boolean::New(env, error != ETIMEDOUT);
}

Napi::Value Region::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (fd_ < 0) return env.Undefined();
  if (sentinel_ != nullptr) sentinel_->leave();
  sentinel_.reset();
  const bool wasMapped = words_ != nullptr;
  unmap(false);
  closeFile();
  if (wasMapped) Unref();
  return env.Undefined();
}

/**
 * A buffer that is detached already is somebody else's doing. Usually JavaScript's, which has moved the memory to another
 * buffer (ArrayBuffer.prototype.transfer): the mapping is left alone. At exit it is Node's, which detaches external
 * buffers before it runs our hook, when nothing can use them any more.
 */
void Region::unmap(bool isExit) {
  if (words_ == nullptr) return;
  const napi_value buffer = buffer_.Value();
  bool isDetached = !isExit;  // stays so if the question fails, and then nothing is unmapped
  napi_is_detached_arraybuffer(env_, buffer, &isDetached);
  const bool isUnused = isDetached ? isExit : napi_detach_arraybuffer(env_, buffer) == napi_ok;
  if (isUnused) ::munmap(words_, mappedBytes_);
  buffer_.Reset();
  words_ = nullptr;
  mappedBytes_ = 0;
}

void Region::closeFile() {
  if (isHooked_) napi_remove_env_cleanup_hook(env_, abandonAtExit, this);
  isHooked_ = false;
  if (fd_ < 0) return;
  unlockAll(fd_);
  ::close(fd_);
  fd_ = -1;
}

}  // namespace locktable
