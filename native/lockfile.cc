/**
 * lockfile.cc: flock(2) on lock files. Opens, tries, waits (lockfile_pool.h), compares, removes; what that means is decided in
 * src/lock/flock.ts.
 *
 * Every lock file that is open is known to its environment, which closes it at its end: the locks of a worker thread that
 * is terminated are free, as those of a process are.
 */
#include "lockfile.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>

#include "lockfile_pool.h"
#include "napi_util.h"

namespace lockfile {
namespace {

using namespace locktable;

struct Wait {
  std::shared_ptr<Request> request;
  Napi::FunctionReference callback;
};

struct Environment {
  explicit Environment(napi_env env_) : env(env_) {}
  const napi_env env;
  std::unordered_set<int> files;  // open lock files that no request owns
  std::unordered_map<uint32_t, Wait> waits;
  uint32_t lastWait = 0;
  napi_threadsafe_function ring = nullptr;
  std::unique_ptr<Pool> pool;
};

Environment& environmentOf(const Napi::CallbackInfo& info) { return *static_cast<Environment*>(info.Data()); }

/** Runs first of the three hooks (they run last in, first out): afterwards no thread of ours knows the ring. */
void stopPool(void* data) {
  Environment* environment = static_cast<Environment*>(data);
  environment->pool.reset();
  environment->waits.clear();
}

void endEnvironment(void* data) {
  Environment* environment = static_cast<Environment*>(data);
  for (const int fd : environment->files) close(fd);
  delete environment;
}

/** A waiting request keeps the event loop alive; the ring itself does not. */
void forgetWait(Environment& environment, uint32_t id) {
  environment.waits.erase(id);
  if (environment.waits.empty()) napi_unref_threadsafe_function(environment.env, environment.ring);
}

/** One finished request per ring, so that an exception of one callback does not swallow the next. */
void answerRing(napi_env env, napi_value, void* context, void*) {
  Environment* environment = static_cast<Environment*>(context);
  if (env == nullptr || !environment->pool) return;
  const std::shared_ptr<Request> request = environment->pool->take();
  if (!request) return;  // withdrawn since
  Napi::HandleScope scope(env);
  const Napi::Function callback = environment->waits.at(request->id).callback.Value();
  if (request->error == 0) environment->files.insert(request->fd);
  forgetWait(*environment, request->id);
  napi_value argument = request->error == 0 ? Napi::Env(env).Undefined() : Napi::String::New(env, errnoName(request->error));
  napi_value result;
  napi_call_function(env, Napi::Env(env).Undefined(), callback, 1, &argument, &result);
}

Pool& poolOf(Environment& environment) {
  if (environment.pool) return *environment.pool;
  const Napi::Env env(environment.env);
  checkStatus(env, napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "lockfile"), 0, 1, nullptr, nullptr,
                                                   &environment, answerRing, &environment.ring));
  checkStatus(env, napi_unref_threadsafe_function(env, environment.ring));
  const napi_threadsafe_function ring = environment.ring;
  environment.pool = std::make_unique<Pool>([ring] { napi_call_threadsafe_function(ring, nullptr, napi_tsfn_nonblocking); });
  checkStatus(env, napi_add_env_cleanup_hook(env, stopPool, &environment));
  return *environment.pool;
}

/** The file of argument 0, if it is one of this environment's that no request owns. */
int readFile(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(readInteger(info, 0, "fd", 0, INT32_MAX));
  if (environmentOf(info).files.count(fd) == 0) throwErrno(info.Env(), EBADF, "flock");
  return fd;
}

/** lockfileOpen(path, mode): fd. Creates it if it is missing; follows no symlink; only a regular file will do. */
Napi::Value openFile(const Napi::CallbackInfo& info) {
  const std::string path = readPath(info, 0, "path");
  const mode_t mode = static_cast<mode_t>(readInteger(info, 1, "mode", 0, 0777));
  // O_NONBLOCK: opening a planted device or FIFO must not block. It means nothing to a regular file.
  const int fd = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
  if (fd < 0) throwErrno(info.Env(), errno, "open", path);
  struct stat status {};
  const int error = fstat(fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
  if (error != 0) {
    close(fd);
    throwErrno(info.Env(), error, error == EINVAL ? "open (not a regular file)" : "fstat", path);
  }
  environmentOf(info).files.insert(fd);
  return Napi::Number::New(info.Env(), fd);
}

/** lockfileTry(fd, exclusive): true if the lock was got or changed; false: a lock the file had is lost too. */
Napi::Value tryLock(const Napi::CallbackInfo& info) {
  const int fd = readFile(info);
  const bool exclusive = readBoolean(info, 1, "exclusive");
  int error = EINTR;
  while (error == EINTR) error = flockOnce(fd, exclusive, false);
  if (error != 0 && error != EWOULDBLOCK) throwErrno(info.Env(), error, "flock");
  return Napi::Boolean::New(info.Env(), error == 0);
}

/** lockfileIsCurrent(fd, path): true if the path leads to this very file: the second half of the double stat. */
Napi::Value isCurrent(const Napi::CallbackInfo& info) {
  const int fd = readFile(info);
  const std::string path = readPath(info, 1, "path");
  struct stat ours {}, theirs {};
  if (fstat(fd, &ours) != 0) throwErrno(info.Env(), errno, "fstat");
  if (lstat(path.c_str(), &theirs) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) throwErrno(info.Env(), errno, "lstat", path);
    return Napi::Boolean::New(info.Env(), false);
  }
  return Napi::Boolean::New(info.Env(), ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino);
}

/** lockfileUnlink(path): false if there was none. */
Napi::Value unlinkFile(const Napi::CallbackInfo& info) {
  const std::string path = readPath(info, 0, "path");
  const bool gone = unlink(path.c_str()) == 0;
  if (!gone && errno != ENOENT && errno != ENOTDIR) throwErrno(info.Env(), errno, "unlink", path);
  return Napi::Boolean::New(info.Env(), gone);
}

/** lockfileClose(fd): the end of its lock. Linux has closed it even when it says EINTR. */
void closeFile(const Napi::CallbackInfo& info) {
  const int fd = readFile(info);
  environmentOf(info).files.erase(fd);
  close(fd);
}

/** lockfileWait(fd, exclusive, callback(errnoName?)): id. The file is the request's until the callback; on error it is closed. */
Napi::Value startWait(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  const int fd = readFile(info);
  const auto request = std::make_shared<Request>(fd, readBoolean(info, 1, "exclusive"), true);
  const Napi::Function callback = readFunction(info, 2, "callback");
  // 0 is never an id, and after 2^32 waits an old one may still be in use.
  do request->id = ++environment.lastWait;
  while (request->id == 0 || environment.waits.count(request->id) != 0);
  const int error = poolOf(environment).submit(request);
  if (error != 0) throwErrno(info.Env(), error, "pthread_create");
  environment.files.erase(fd);
  if (environment.waits.empty()) napi_ref_threadsafe_function(environment.env, environment.ring);
  environment.waits.emplace(request->id, Wait{request, Napi::Persistent(callback)});
  return Napi::Number::New(info.Env(), request->id);
}

/** lockfileWithdraw(id): ends a wait whose callback has not run and never will. True: the lock had been got, the file is back. */
Napi::Value withdrawWait(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  const auto place = environment.waits.find(static_cast<uint32_t>(readInteger(info, 0, "id", 1, UINT32_MAX)));
  if (place == environment.waits.end()) throw Napi::RangeError::New(info.Env(), "no such wait");
  const std::shared_ptr<Request> request = place->second.request;
  const bool got = environment.pool->withdraw(request);
  if (got) environment.files.insert(request->fd);
  forgetWait(environment, place->first);
  return Napi::Boolean::New(info.Env(), got);
}

/** lockfileWaitSync(fd, exclusive, timeoutMs): blocks this thread; -1: no limit. False: the time was up, the file is closed. */
Napi::Value waitSync(const Napi::CallbackInfo& info) {
  Environment& environment = environmentOf(info);
  const int fd = readFile(info);
  const auto request = std::make_shared<Request>(fd, readBoolean(info, 1, "exclusive"), false);
  if (!info[2].IsNumber()) throw Napi::TypeError::New(info.Env(), "timeoutMs must be a number");
  Pool& pool = poolOf(environment);
  const int error = pool.submit(request);
  if (error != 0) throwErrno(info.Env(), error, "pthread_create");
  environment.files.erase(fd);
  const bool done = pool.sleep(request, info[2].As<Napi::Number>().DoubleValue());
  if (done && request->error != 0) throwErrno(info.Env(), request->error, "flock");
  if (done) environment.files.insert(fd);
  return Napi::Boolean::New(info.Env(), done);
}

}  // namespace
}  // namespace lockfile

void registerLockfile(Napi::Env env, Napi::Object exports) {
  using namespace lockfile;
  auto* environment = new Environment(env);
  locktable::checkStatus(env, napi_add_env_cleanup_hook(env, endEnvironment, environment));
  exports.Set("lockfileOpen", Napi::Function::New(env, openFile, "lockfileOpen", environment));
  exports.Set("lockfileTry", Napi::Function::New(env, tryLock, "lockfileTry", environment));
  exports.Set("lockfileIsCurrent", Napi::Function::New(env, isCurrent, "lockfileIsCurrent", environment));
  exports.Set("lockfileUnlink", Napi::Function::New(env, unlinkFile, "lockfileUnlink", environment));
  exports.Set("lockfileClose", Napi::Function::New(env, closeFile, "lockfileClose", environment));
  exports.Set("lockfileWait", Napi::Function::New(env, startWait, "lockfileWait", environment));
  exports.Set("lockfileWithdraw", Napi::Function::New(env, withdrawWait, "lockfileWithdraw", environment));
  exports.Set("lockfileWaitSync", Napi::Function::New(env, waitSync, "lockfileWaitSync", environment));
}
