/** directory.h: what is in a directory, in one call: of a tree of many small files, Node's call for each takes most of the time. */
#ifndef LOCKTABLE_DIRECTORY_H_
#define LOCKTABLE_DIRECTORY_H_

#include <napi.h>

/** Adds fileStat, fileList and fileFields to the addon's exports. */
void registerDirectory(Napi::Env env, Napi::Object exports);

#endif  // LOCKTABLE_DIRECTORY_H_
