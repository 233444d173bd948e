/**
 * addon.cc: registration, and the state of each environment.
 *
 * The addon is loaded once per process and initialised once per environment (the main thread and every worker), so
 * nothing that belongs to JavaScript is kept in a global.
 */
#include <napi.h>

#include <sched.h>
#include <unistd.h>

#include "bytes.h"
#include "directory.h"
#include "files.h"
#include "lockfile.h"
#include "mapping.h"
#include "napi_util.h"
#include "native.h"

namespace locktable {

namespace {

/** Owned by the environment. */
struct EnvironmentState {
  Napi::FunctionReference regionConstructor;
};

Napi::Value newRegion(Napi::Env env, int fd) {
  try {
    return env.GetInstanceData<EnvironmentState>()->regionConstructor.New({Napi::External<int>::New(env, &fd)});
  } catch (const Napi::Error&) {
    ::close(fd);
    throw;
  }
}

Napi::Value open(const Napi::CallbackInfo& info) {
  const std::string path = readPath(info, 0, "path");
  int fd = -1;
  const int error = Region::openFile(path, &fd);
  if (error != 0) throwErrno(info.Env(), error, "open", path);
  return newRegion(info.Env(), fd);
}

Napi::Value createUnnamed(const Napi::CallbackInfo& info) {
  const std::string directory = readPath(info, 0, "directory");
  const int64_t sizeBytes = readInteger(info, 1, "sizeBytes", 1, (int64_t{1} << 53) - 1);
  const auto mode = static_cast<unsigned>(readInteger(info, 2, "mode", 0, 0777));
  int fd = -1;
  const char* syscall = "";
  const int error = Region::createUnnamedFile(directory, sizeBytes, mode, &fd, &syscall);
  if (error != 0) throwErrno(info.Env(), error, syscall, directory);
  return newRegion(info.Env(), fd);
}

/** Whoever else could run on this processor does so first. */
void yieldProcessor(const Napi::CallbackInfo&) { sched_yield(); }

/** NATIVE_LAYOUT of src/lock/layout.ts as this binary knows it. */
Napi::Object describeLayout(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&](const char* name, uint32_t value) { result.Set(name, static_cast<double>(value)); };
  set("participantsWord", layout::kParticipantsWord);
  set("participantWords", layout::kParticipantWords);
  set("participantLimit", layout::kParticipantLimit);
  set("lifeWord", layout::kLifeWord);
  set("robustWord", layout::kRobustWord);
  set("bellWord", layout::kBellWord);
  set("syncBellWord", layout::kSyncBellWord);
  set("rosterWord", layout::kRosterWord);
  set("lifeStatusMask", layout::kLifeStatusMask);
  set("lifeScrubbing", layout::kLifeScrubbing);
  set("lifeLive", layout::kLifeLive);
  set("lifeDead", layout::kLifeDead);
  set("bellSentinel", layout::kBellSentinel);
  set("bellSync", layout::kBellSync);
  set("bellSleepers", layout::kBellSleepers);
  set("bellMuted", layout::kBellMuted);
  set("bellFlags", layout::kBellFlags);
  set("bellStep", layout::kBellStep);
  return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* state = new EnvironmentState();
  env.SetInstanceData(state);
  state->regionConstructor = Napi::Persistent(Region::define(env));
  exports.Set("layout", describeLayout(env));
  exports.Set("open", Napi::Function::New(env, open, "open"));
  exports.Set("createUnnamed", Napi::Function::New(env, createUnnamed, "createUnnamed"));
  exports.Set("yieldProcessor", Napi::Function::New(env, yieldProcessor, "yieldProcessor"));
  registerLockfile(env, exports);
  registerFiles(env, exports);
  registerDirectory(env, exports);
  registerBytes(env, exports);
  return exports;
}

}  // namespace

}  // namespace locktable

static Napi::Object initializeAddon(Napi::Env env, Napi::Object exports) { return locktable::initialize(env, exports); }

NODE_API_MODULE(locktable, initializeAddon)
