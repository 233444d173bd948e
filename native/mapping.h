/**
 * mapping.h: an open table file and its mapping, the object JavaScript calls a region.
 *
 * LIFETIME   close() ends the sentinel, detaches the ArrayBuffer, and only then unmaps and closes: no view can be used
 *            after the unmapping. A mapped region lives until close() or the end of its environment, even if JavaScript
 *            forgets it, for views of it may be anywhere; one that was only opened is closed by the garbage collector.
 * END OF THE ENVIRONMENT (process.exit, a terminated worker) without close() counts as a death: the sentinel is
 *            abandoned (its robust word tells), then the file is unlocked and closed (its byte locks tell), then the mapping
 *            goes.
 */
#ifndef LOCKTABLE_MAPPING_H_
#define LOCKTABLE_MAPPING_H_

#include <memory>
#include <string>

#include <napi.h>

#include "ringer.h"

namespace locktable {

class Region : public Napi::ObjectWrap<Region> {
 public:
  /** Defines the class; the constructor is kept per environment by addon.cc. */
  static Napi::Function define(Napi::Env env);

  static int openFile(const std::string& path, int* fd);
  static int createUnnamedFile(const std::string& directory, int64_t sizeBytes, unsigned mode, int* fd, const char** syscall);

  /** Only from native code: the argument is an External of the descriptor, which the region owns from then on. */
  explicit Region(const Napi::CallbackInfo& info);
  ~Region() override;

 private:
  Napi::Value stat(const Napi::CallbackInfo& info);
  Napi::Value link(const Napi::CallbackInfo& info);
  Napi::Value map(const Napi::CallbackInfo& info);
  Napi::Value lockByte(const Napi::CallbackInfo& info);
  Napi::Value unlockByte(const Napi::CallbackInfo& info);
  Napi::Value isByteHeld(const Napi::CallbackInfo& info);
  Napi::Value startSentinel(const Napi::CallbackInfo& info);
  Napi::Value stopSentinel(const Napi::CallbackInfo& info);
  Napi::Value setWaiting(const Napi::CallbackInfo& info);
  Napi::Value wake(const Napi::CallbackInfo& info);
  Napi::Value waitBell(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  static void abandonAtExit(void* region);
  void requireOpen(Napi::Env env, const char* syscall) const;
  uint32_t requireParticipant(const Napi::CallbackInfo& info, const char* syscall) const;
  void unmap(bool isExit);
  void closeFile();

  const Napi::Env env_;
  int fd_ = -1;
  Word* words_ = nullptr;
  size_t mappedBytes_ = 0;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  std::unique_ptr<Ringer> sentinel_;
  bool isHooked_ = false;
};

}  // namespace locktable

#endif  // LOCKTABLE_MAPPING_H_
