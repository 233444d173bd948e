/**
 * directory.cc: what the kernel says of files, as a table: rows of numbers, one after the other, and the bytes of all names.
 *
 * fileFields says what stands where in a row. No number is above 2^53: device and inode come in halves.
 */
#include "directory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vector>

#include "napi_util.h"

namespace {

using namespace locktable;

/** A row's, as in src/datastore/tree/file-table.ts, which compares them. Times: seconds since 1970, and nanoseconds. */
constexpr const char* kFields[] = {"MODE",         "UID",          "GID",   "SIZE",   "MTIME",     "MTIME_REST", "CTIME",    "CTIME_REST", "INODE_HIGH", "INODE_LOW",
                                   "DEVICE_MAJOR", "DEVICE_MINOR", "LINKS", "BLOCKS", "OWN_MAJOR", "OWN_MINOR",  "NAME_END", "TARGET_END"};
constexpr size_t kFieldCount = sizeof(kFields) / sizeof(kFields[0]);

struct FailedName {
  std::string name;
  int error;
  const char* syscall;
};

struct Table {
  std::vector<double> rows;
  std::string text;
  std::vector<FailedName> failed;

  void add(const std::string& name, const struct stat& info, const std::string& target) {
    text += name;
    const size_t nameEnd = text.size();
    text += target;
    const auto inode = static_cast<uint64_t>(info.st_ino);
    const bool isDevice = S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
    for (const double value : {
             static_cast<double>(info.st_mode), static_cast<double>(info.st_uid), static_cast<double>(info.st_gid),
             S_ISREG(info.st_mode) ? static_cast<double>(info.st_size) : 0.0,  // of all else it is the file system's own business
             static_cast<double>(info.st_mtim.tv_sec), static_cast<double>(info.st_mtim.tv_nsec),
             static_cast<double>(info.st_ctim.tv_sec), static_cast<double>(info.st_ctim.tv_nsec),
             static_cast<double>(inode >> 32), static_cast<double>(inode & UINT32_MAX),
             static_cast<double>(major(info.st_dev)), static_cast<double>(minor(info.st_dev)),
             static_cast<double>(info.st_nlink), static_cast<double>(info.st_blocks),
             isDevice ? static_cast<double>(major(info.st_rdev)) : 0.0, isDevice ? static_cast<double>(minor(info.st_rdev)) : 0.0,
             static_cast<double>(nameEnd), static_cast<double>(text.size()),
         }) {
      rows.push_back(value);
    }
  }
};

/** @returns 0 or an errno; ENAMETOOLONG if it is longer than any link can be */
int readTarget(int directory, const char* name, std::string* target) {
  char buffer[PATH_MAX + 1];
  const ssize_t length = readlinkat(directory, name, buffer, sizeof buffer);
  if (length < 0) return errno;
  if (static_cast<size_t>(length) == sizeof buffer) return ENAMETOOLONG;
  target->assign(buffer, static_cast<size_t>(length));
  return 0;
}

/** A row, or a name that failed. A directory is AT_FDCWD where `name` is a whole path. */
void addFile(int directory, const std::string& path, const std::string& name, Table* table) {
  struct stat info {};
  if (fstatat(directory, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    table->failed.push_back({name, errno, "lstat"});
    return;
  }
  std::string target;
  const int error = S_ISLNK(info.st_mode) ? readTarget(directory, path.c_str(), &target) : 0;
  if (error != 0) table->failed.push_back({name, error, "readlink"});
  else table->add(name, info, target);
}

Napi::Value toJavaScript(Napi::Env env, const Table& table) {
  Napi::Object result = Napi::Object::New(env);
  Napi::Float64Array rows = Napi::Float64Array::New(env, table.rows.size());
  if (!table.rows.empty()) std::memcpy(rows.Data(), table.rows.data(), table.rows.size() * sizeof(double));
  result.Set("rows", rows);
  result.Set("text", Napi::Buffer<char>::Copy(env, table.text.data(), table.text.size()));
  Napi::Array failed = Napi::Array::New(env, table.failed.size());
  for (size_t i = 0; i < table.failed.size(); i++) {
    const FailedName& each = table.failed[i];
    Napi::Object item = Napi::Object::New(env);
    item.Set("name", Napi::Buffer<char>::Copy(env, each.name.data(), each.name.size()));
    item.Set("message", errnoMessage(each.error, each.syscall));
    failed.Set(static_cast<uint32_t>(i), item);
  }
  result.Set("failed", failed);
  return result;
}

/** (path): a table of one row, of a link itself. Its name is empty. */
Napi::Value fileStat(const Napi::CallbackInfo& info) {
  const std::string path = readTextOrBytes(info, 0, "path");
  Table table;
  addFile(AT_FDCWD, path, "", &table);
  if (!table.failed.empty()) throwErrno(info.Env(), table.failed[0].error, table.failed[0].syscall, path);
  return toJavaScript(info.Env(), table);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

/** (path): a table of what is in the directory, by the bytes of the names. What cannot be looked at is in `failed`. No link is followed. */
Napi::Value fileList(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = readTextOrBytes(info, 0, "path");
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throwErrno(env, errno, "scandir", path);
  const std::unique_ptr<DIR, CloseDirectory> directory(fdopendir(fd));
  if (directory == nullptr) {
    const int error = errno;
    close(fd);
    throwErrno(env, error, "scandir", path);
  }
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = readdir(directory.get()); errno = 0) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
  if (errno != 0) throwErrno(env, errno, "scandir", path);
  std::sort(names.begin(), names.end());  // as unsigned bytes: char_traits<char> compares them so
  Table table;
  table.rows.reserve(names.size() * kFieldCount);
  for (const std::string& name : names) addFile(fd, name, name, &table);
  return toJavaScript(env, table);
}

}  // namespace

void registerDirectory(Napi::Env env, Napi::Object exports) {
  exports.Set("fileStat", Napi::Function::New(env, fileStat, "fileStat"));
  exports.Set("fileList", Napi::Function::New(env, fileList, "fileList"));
  Napi::Array fields = Napi::Array::New(env, kFieldCount);
  for (size_t i = 0; i < kFieldCount; i++) fields.Set(static_cast<uint32_t>(i), kFields[i]);
  exports.Set("fileFields", fields);
}
