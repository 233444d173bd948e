/*
 * locks.h: the locks that stand for "what a C program would use", one description each.
 *
 * A lock has words in shared memory (struct lock_words, one instance for all processes) and may have a file. Each process
 * has its own struct lock_user, made after fork(), so that file locks belong to open files of its own.
 */
#ifndef BASELINE_LOCKS_H
#define BASELINE_LOCKS_H

#include "common.h"

struct lock_words {
  APART pthread_mutex_t robust;
  APART pthread_mutex_t plain;
  APART pthread_rwlock_t rwlock;
  APART _Atomic uint32_t word;
  APART volatile uint64_t counter; /* written by the holder only: adds up only if the lock excludes */
  volatile uint64_t shadow;        /* written by the holder last: equal to the counter whenever nobody holds exclusively */
};

struct lock_user {
  struct lock_words *words;
  const char *path; /* the lock file */
  int fd;           /* kept open by the kinds that do; otherwise the descriptor of the hold */
};

struct lock_kind {
  const char *name;
  int keeps_fd;  /* opens the file once, not per acquisition */
  int robust;    /* a dead holder's lock is granted to the next */
  void (*lock)(struct lock_user *);
  void (*unlock)(struct lock_user *);
  int (*try_lock)(struct lock_user *); /* 1: got it */
  void (*lock_shared)(struct lock_user *); /* NULL where there is no such thing; unlock() ends it */
};

extern const struct lock_kind lock_kinds[];
extern const size_t lock_kind_count;

void init_lock_words(struct lock_words *words);
void join_lock(const struct lock_kind *kind, struct lock_user *user, struct lock_words *words, const char *path);

/* Ends the program if a second process can take the lock while we hold it: a lock that excludes nobody must not win. */
void check_exclusion(const struct lock_kind *kind, struct lock_words *words, const char *path);

/* ---- the operations themselves, inline so that a timed loop pays for no call that a user would not pay for ---- */

static inline void robust_lock(struct lock_user *u) {
  int rc = pthread_mutex_lock(&u->words->robust);
  if (__builtin_expect(rc != 0, 0)) {
    if (rc != EOWNERDEAD) die("robust mutex: %s", strerror(rc));
    pthread_mutex_consistent(&u->words->robust);
  }
}
static inline void robust_unlock(struct lock_user *u) { pthread_mutex_unlock(&u->words->robust); }

static inline void plain_lock(struct lock_user *u) { pthread_mutex_lock(&u->words->plain); }
static inline void plain_unlock(struct lock_user *u) { pthread_mutex_unlock(&u->words->plain); }

static inline void rw_wrlock(struct lock_user *u) { pthread_rwlock_wrlock(&u->words->rwlock); }
static inline void rw_rdlock(struct lock_user *u) { pthread_rwlock_rdlock(&u->words->rwlock); }
static inline void rw_unlock(struct lock_user *u) { pthread_rwlock_unlock(&u->words->rwlock); }

static inline void flock_forever(int fd, int operation) {
  while (flock(fd, operation) != 0)
    if (errno != EINTR) die("flock: %s", strerror(errno));
}
static inline void held_flock_lock(struct lock_user *u) { flock_forever(u->fd, LOCK_EX); }
static inline void held_flock_shared(struct lock_user *u) { flock_forever(u->fd, LOCK_SH); }
static inline void held_flock_unlock(struct lock_user *u) { flock(u->fd, LOCK_UN); }

static inline void ofd_change(int fd, short type) {
  struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
  while (fcntl(fd, F_OFD_SETLKW, &range) != 0)
    if (errno != EINTR) die("OFD lock: %s", strerror(errno));
}
static inline void ofd_lock(struct lock_user *u) { ofd_change(u->fd, F_WRLCK); }
static inline void ofd_shared(struct lock_user *u) { ofd_change(u->fd, F_RDLCK); }
static inline void ofd_unlock(struct lock_user *u) { ofd_change(u->fd, F_UNLCK); }

/* What Proxmox Backup Server does: open, flock, and make sure that the name still means the file that is locked. */
static inline void double_stat_take(struct lock_user *u, int operation) {
  for (;;) {
    int fd = open(u->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) die("open %s: %s", u->path, strerror(errno));
    flock_forever(fd, operation);
    struct stat mine, named;
    if (fstat(fd, &mine) != 0) die("fstat: %s", strerror(errno));
    if (stat(u->path, &named) == 0 && named.st_ino == mine.st_ino && named.st_dev == mine.st_dev) {
      u->fd = fd;
      return;
    }
    close(fd);
  }
}
static inline void double_stat_lock(struct lock_user *u) { double_stat_take(u, LOCK_EX); }
static inline void double_stat_shared(struct lock_user *u) { double_stat_take(u, LOCK_SH); }
static inline void double_stat_unlock(struct lock_user *u) { close(u->fd); }
static inline void double_stat_remove(struct lock_user *u) {
  unlink(u->path);
  close(u->fd);
}

#endif
