/** files.h: the calls on files that Node does not have. */
#ifndef LOCKTABLE_FILES_H_
#define LOCKTABLE_FILES_H_

#include <napi.h>

/** Adds the file… functions to the addon's exports. */
void registerFiles(Napi::Env env, Napi::Object exports);

#endif  // LOCKTABLE_FILES_H_
