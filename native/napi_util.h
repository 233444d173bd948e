/**
 * napi_util.h: reading of arguments, and the only conversion of an errno to a JavaScript error.
 *
 * Wrong arguments are TypeError or RangeError without a code; a refusal of the operating system is an Error as node:fs
 * throws it, with `code`, `errno`, `syscall` and, where there is one, `path`.
 */
#ifndef LOCKTABLE_NAPI_UTIL_H_
#define LOCKTABLE_NAPI_UTIL_H_

#include <cerrno>
#include <cmath>
#include <string>
#include <system_error>

#include <napi.h>

namespace locktable {

/** The symbolic name of an errno. libuv's own list lacks some that file systems return, such as EDQUOT. */
inline const char* errnoName(int error) {
  switch (error) {
#define LOCKTABLE_ERRNO(name) \
  case name:                  \
    return #name;
    LOCKTABLE_ERRNO(EPERM)
    LOCKTABLE_ERRNO(ENOENT)
    LOCKTABLE_ERRNO(EINTR)
    LOCKTABLE_ERRNO(EIO)
    LOCKTABLE_ERRNO(ENXIO)
    LOCKTABLE_ERRNO(EBADF)
    LOCKTABLE_ERRNO(EAGAIN)
    LOCKTABLE_ERRNO(ENOMEM)
    LOCKTABLE_ERRNO(EACCES)
    LOCKTABLE_ERRNO(EFAULT)
    LOCKTABLE_ERRNO(EBUSY)
    LOCKTABLE_ERRNO(EEXIST)
    LOCKTABLE_ERRNO(EXDEV)
    LOCKTABLE_ERRNO(ENODEV)
    LOCKTABLE_ERRNO(ENOTDIR)
    LOCKTABLE_ERRNO(EISDIR)
    LOCKTABLE_ERRNO(EINVAL)
    LOCKTABLE_ERRNO(ENFILE)
    LOCKTABLE_ERRNO(EMFILE)
    LOCKTABLE_ERRNO(ETXTBSY)
    LOCKTABLE_ERRNO(EFBIG)
    LOCKTABLE_ERRNO(ENOSPC)
    LOCKTABLE_ERRNO(ESPIPE)
    LOCKTABLE_ERRNO(EROFS)
    LOCKTABLE_ERRNO(EMLINK)
    LOCKTABLE_ERRNO(EDEADLK)
    LOCKTABLE_ERRNO(ENAMETOOLONG)
    LOCKTABLE_ERRNO(ENOLCK)
    LOCKTABLE_ERRNO(ENOSYS)
    LOCKTABLE_ERRNO(ENOTEMPTY)
    LOCKTABLE_ERRNO(ELOOP)
    LOCKTABLE_ERRNO(EOVERFLOW)
    LOCKTABLE_ERRNO(EOPNOTSUPP)
    LOCKTABLE_ERRNO(ETIMEDOUT)
    LOCKTABLE_ERRNO(ESTALE)
    LOCKTABLE_ERRNO(EDQUOT)
#undef LOCKTABLE_ERRNO
    default:
      return "UNKNOWN";
  }
}

/** "ENOENT: No such file or directory, open" */
inline std::string errnoMessage(int error, const char* syscall) {
  return std::string(errnoName(error)) + ": " + std::generic_category().message(error) + ", " + syscall;
}

/** What node:fs would throw; `error` is a positive errno, `errno` of the JavaScript error is negative as in Node. */
inline Napi::Error errnoError(Napi::Env env, int error, const char* syscall, const std::string& path = std::string()) {
  std::string message = errnoMessage(error, syscall);
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error made = Napi::Error::New(env, message);
  Napi::Object object = made.Value();
  object.Set("code", errnoName(error));
  object.Set("errno", -error);
  object.Set("syscall", syscall);
  if (!path.empty()) object.Set("path", path);
  return made;
}

[[noreturn]] inline void throwErrno(Napi::Env env, int error, const char* syscall, const std::string& path = std::string()) {
  throw errnoError(env, error, syscall, path);
}

/** For calls of the C interface, which report failure by a status: throws the pending or a new error. */
inline void checkStatus(Napi::Env env, napi_status status) {
  if (status != napi_ok) throw Napi::Error::New(env);
}

/** A path: a string without NUL, which the kernel would take for its end. */
inline std::string readPath(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsString()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a string");
  std::string path = info[index].As<Napi::String>().Utf8Value();
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a path without NUL characters");
  }
  return path;
}

/** A path as text, or as bytes that need not be UTF-8. */
inline std::string readTextOrBytes(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsBuffer()) return readPath(info, index, name);
  const auto bytes = info[index].As<Napi::Buffer<char>>();
  std::string path(bytes.Data(), bytes.Length());
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a path without NUL characters");
  }
  return path;
}

/** A whole number from `low` to `high`. */
inline int64_t readInteger(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t low, int64_t high) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a number");
  double value = info[index].As<Napi::Number>().DoubleValue();
  // The comparison is written so that NaN fails it.
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + " must be a whole number from " + std::to_string(low) + " to " +
                                                std::to_string(high));
  }
  return static_cast<int64_t>(value);
}

inline bool readBoolean(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsBoolean()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a boolean");
  return info[index].As<Napi::Boolean>().Value();
}

inline Napi::Function readFunction(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsFunction()) throw Napi::TypeError::New(info.Env(), std::string(name) + " must be a function");
  return info[index].As<Napi::Function>();
}

}  // namespace locktable

#endif  // LOCKTABLE_NAPI_UTIL_H_
