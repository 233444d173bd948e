// old-glibc.h: included before every source of a glibc prebuild, so that a binary made on a new system runs on an old one.
//
// A linker takes the newest version of each symbol the C library offers. glibc 2.34 moved the threads from libpthread into
// libc and gave their functions a new version without changing what they do; the old versions are still there. Asking for those
// keeps the binary loadable on systems of the age Node 20 itself supports. scripts/build-prebuilds.mjs checks what came out.
#include "old-libstdcxx.h"
#include <sys/stat.h>

#if defined(__x86_64__)
#define LOCKTABLE_OLDEST "GLIBC_2.2.5"
#define LOCKTABLE_OLDEST_SETCLOCK "GLIBC_2.3.3"
#define LOCKTABLE_STAT_VERSION 1
#elif defined(__aarch64__)
#define LOCKTABLE_OLDEST "GLIBC_2.17"
#define LOCKTABLE_OLDEST_SETCLOCK "GLIBC_2.17"
#define LOCKTABLE_STAT_VERSION 0
#else
#error "no prebuild for this architecture"
#endif

#define LOCKTABLE_OLD(name) __asm__(".symver " #name "," #name "@" LOCKTABLE_OLDEST)

LOCKTABLE_OLD(dlsym);
LOCKTABLE_OLD(pthread_attr_setstacksize);
__asm__(".symver pthread_condattr_setclock,pthread_condattr_setclock@" LOCKTABLE_OLDEST_SETCLOCK);
LOCKTABLE_OLD(pthread_create);
LOCKTABLE_OLD(pthread_detach);
LOCKTABLE_OLD(pthread_join);
LOCKTABLE_OLD(pthread_kill);
LOCKTABLE_OLD(pthread_mutex_trylock);
LOCKTABLE_OLD(pthread_once);
LOCKTABLE_OLD(pthread_sigmask);
LOCKTABLE_OLD(sem_destroy);
LOCKTABLE_OLD(sem_init);
LOCKTABLE_OLD(sem_post);
LOCKTABLE_OLD(sem_timedwait);
LOCKTABLE_OLD(sem_trywait);
LOCKTABLE_OLD(sem_wait);

extern "C" {
// Headers before glibc 2.33 made these of the others, which take a version; the functions of that name came later. (Here the file
// sizes are 64 bits wide with either name.)
int __fxstat(int version, int fd, struct stat* status);
int __fxstatat(int version, int directory, const char* path, struct stat* status, int flags);
int __lxstat(int version, const char* path, struct stat* status);
int __xstat(int version, const char* path, struct stat* status);
int __xmknod(int version, const char* path, mode_t mode, dev_t* device);
#define LOCKTABLE_OWN __attribute__((weak, visibility("hidden")))
LOCKTABLE_OWN int locktable_fstat(int fd, struct stat* status) __asm__("fstat64");
LOCKTABLE_OWN int locktable_fstatat(int directory, const char* path, struct stat* status, int flags) __asm__("fstatat64");
LOCKTABLE_OWN int locktable_lstat(const char* path, struct stat* status) __asm__("lstat64");
LOCKTABLE_OWN int locktable_stat(const char* path, struct stat* status) __asm__("stat64");
LOCKTABLE_OWN int locktable_fstat(int fd, struct stat* status) { return __fxstat(LOCKTABLE_STAT_VERSION, fd, status); }
LOCKTABLE_OWN int locktable_fstatat(int directory, const char* path, struct stat* status, int flags) {
  return __fxstatat(LOCKTABLE_STAT_VERSION, directory, path, status, flags);
}
LOCKTABLE_OWN int locktable_lstat(const char* path, struct stat* status) { return __lxstat(LOCKTABLE_STAT_VERSION, path, status); }
LOCKTABLE_OWN int locktable_stat(const char* path, struct stat* status) { return __xstat(LOCKTABLE_STAT_VERSION, path, status); }
LOCKTABLE_OWN int locktable_mknod(const char* path, mode_t mode, dev_t device) __asm__("mknod");
LOCKTABLE_OWN int locktable_mknod(const char* path, mode_t mode, dev_t device) { return __xmknod(0, path, mode, &device); }

// "This process has one thread": never true of Node. glibc has a variable of that name since 2.32.
LOCKTABLE_OWN char __libc_single_threaded = 0;
}
