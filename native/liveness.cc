/** liveness.cc: see liveness.h. */
#include "liveness.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace locktable {

namespace {

struct flock byteLock(short type, off_t offset) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  // l_pid stays 0: the kernel refuses anything else for locks of an open file.
  return lock;
}

}  // namespace

int lockByte(int fd, off_t offset, bool exclusive) {
  struct flock lock = byteLock(exclusive ? F_WRLCK : F_RDLCK, offset);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;  // POSIX lets a system choose between the two
}

int unlockByte(int fd, off_t offset) {
  struct flock lock = byteLock(F_UNLCK, offset);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

void unlockAll(int fd) {
  struct flock lock = byteLock(F_UNLCK, 0);
  lock.l_len = 0;  // to the end, wherever that is
  fcntl(fd, F_OFD_SETLK, &lock);
}

int probeByte(int fd, off_t offset, bool* held) {
  // The question is asked for a write lock, which every lock of another open file would refuse.
  struct flock lock = byteLock(F_WRLCK, offset);
  if (fcntl(fd, F_OFD_GETLK, &lock) != 0) return errno;
  *held = lock.l_type != F_UNLCK;
  return 0;
}

}  // namespace locktable
