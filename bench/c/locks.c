/* locks.c: the table of locks, and the check that each excludes. */
#include "locks.h"

static int robust_try(struct lock_user *u) { return pthread_mutex_trylock(&u->words->robust) == 0; }
static int plain_try(struct lock_user *u) { return pthread_mutex_trylock(&u->words->plain) == 0; }
static int rw_try(struct lock_user *u) { return pthread_rwlock_trywrlock(&u->words->rwlock) == 0; }
static int flock_try(struct lock_user *u) { return flock(u->fd, LOCK_EX | LOCK_NB) == 0; }
static int ofd_try(struct lock_user *u) {
  struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
  return fcntl(u->fd, F_OFD_SETLK, &range) == 0;
}
static int double_stat_try(struct lock_user *u) {
  int fd = open(u->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) die("open %s: %s", u->path, strerror(errno));
  int got = flock(fd, LOCK_EX | LOCK_NB) == 0;
  close(fd);
  return got;
}

/* Inline functions have no address of their own in a table that other files use, so each gets a name here. */
#define NAMED(f) static void call_##f(struct lock_user *u) { f(u); }
NAMED(robust_lock) NAMED(robust_unlock) NAMED(plain_lock) NAMED(plain_unlock) NAMED(rw_wrlock) NAMED(rw_unlock)
NAMED(held_flock_lock) NAMED(held_flock_unlock) NAMED(ofd_lock) NAMED(ofd_unlock)
NAMED(rw_rdlock) NAMED(held_flock_shared) NAMED(ofd_shared) NAMED(double_stat_shared)
NAMED(double_stat_lock) NAMED(double_stat_unlock) NAMED(double_stat_remove)

const struct lock_kind lock_kinds[] = {
  { "robust-mutex", 0, 1, call_robust_lock, call_robust_unlock, robust_try, NULL },
  { "mutex", 0, 0, call_plain_lock, call_plain_unlock, plain_try, NULL },
  { "rwlock", 0, 0, call_rw_wrlock, call_rw_unlock, rw_try, call_rw_rdlock },
  { "flock", 1, 1, call_held_flock_lock, call_held_flock_unlock, flock_try, call_held_flock_shared },
  { "ofd", 1, 1, call_ofd_lock, call_ofd_unlock, ofd_try, call_ofd_shared },
  { "flock-double-stat", 0, 1, call_double_stat_lock, call_double_stat_unlock, double_stat_try, call_double_stat_shared },
  { "flock-double-stat-unlink", 0, 1, call_double_stat_lock, call_double_stat_remove, double_stat_try, NULL },
};
const size_t lock_kind_count = sizeof lock_kinds / sizeof lock_kinds[0];

void init_lock_words(struct lock_words *words) {
  pthread_mutexattr_t mutex;
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  if (pthread_mutex_init(&words->plain, &mutex) != 0) die("cannot make a mutex");
  pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
  if (pthread_mutex_init(&words->robust, &mutex) != 0) die("cannot make a robust mutex");
  pthread_rwlockattr_t rwlock;
  pthread_rwlockattr_init(&rwlock);
  pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
  if (pthread_rwlock_init(&words->rwlock, &rwlock) != 0) die("cannot make a rwlock");
}

void join_lock(const struct lock_kind *kind, struct lock_user *user, struct lock_words *words, const char *path) {
  *user = (struct lock_user){ .words = words, .path = path, .fd = -1 };
  if (!kind->keeps_fd) return;
  user->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (user->fd < 0) die("open %s: %s", path, strerror(errno));
}

void check_exclusion(const struct lock_kind *kind, struct lock_words *words, const char *path) {
  struct lock_user user;
  join_lock(kind, &user, words, path);
  kind->lock(&user);
  pid_t pid = fork_child();
  if (pid == 0) {
    struct lock_user other;
    join_lock(kind, &other, words, path);
    _exit(kind->try_lock(&other));
  }
  int status;
  waitpid(pid, &status, 0);
  kind->unlock(&user);
  if (kind->keeps_fd) close(user.fd);
  if (status != 0) die("%s does not exclude a second process", kind->name);
}
