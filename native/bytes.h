/** bytes.h: bytes that threads share. */
#ifndef LOCKTABLE_BYTES_H_
#define LOCKTABLE_BYTES_H_

#include <napi.h>

/** Adds bytesCopy and bytesWriteFiles to the addon's exports. */
void registerBytes(Napi::Env env, Napi::Object exports);

#endif  // LOCKTABLE_BYTES_H_
