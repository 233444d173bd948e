/** lockfile.h: the lock-file half of the addon. */
#ifndef LOCKTABLE_LOCKFILE_H_
#define LOCKTABLE_LOCKFILE_H_

#include <napi.h>

/** Adds the lockfile… functions to the addon's exports. Once per environment. */
void registerLockfile(Napi::Env env, Napi::Object exports);

#endif  // LOCKTABLE_LOCKFILE_H_
