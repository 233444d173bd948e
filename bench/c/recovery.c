/*
 * recovery.c: from kill -9 of a holder to the next holder running.
 *
 * Each round has a new holder and a new waiter. The clock starts just before kill(), when the waiter sleeps in the kernel (read
 * from /proc), and stops when the waiter has the lock. A holder of resident_mib has touched that much private memory before,
 * which the kernel must give back: a file lock is released after that, a robust mutex before it.
 */
#include "locks.h"

#include <signal.h>

struct round {
  struct lock_words words;
  APART _Atomic int held, asking;
  _Atomic uint64_t entered_ns;
};

static void pause_ms(double ms) {
  struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)((uint64_t)(ms * 1e6) % 1000000000u) };
  nanosleep(&t, NULL);
}

static char state_of(pid_t pid) {
  char name[64], text[512];
  snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return '?';
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return '?';
  text[length] = 0;
  const char *end = strrchr(text, ')');
  return end != NULL && end[1] == ' ' ? end[2] : '?';
}

static void await_flag(_Atomic int *flag, pid_t child, const char *what) {
  while (!atomic_load(flag)) {
    if (waitpid(child, NULL, WNOHANG) == child) die("the %s ended early", what);
    pause_ms(0.2);
  }
}

/* Asleep three times in a row, a while apart, after it said that it asks: it sleeps in the lock. */
static void await_sleep(pid_t pid) {
  for (int asleep = 0; asleep < 3;) {
    pause_ms(0.5);
    asleep = state_of(pid) == 'S' ? asleep + 1 : 0;
  }
}

static void hold_until_killed(const struct lock_kind *kind, struct round *round, const char *path, const struct options *options) {
  if (options->resident_mib > 0) {
    size_t bytes = (size_t)options->resident_mib << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("cannot reserve %ld MiB", options->resident_mib);
    for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
  }
  struct lock_user user;
  join_lock(kind, &user, &round->words, path);
  kind->lock(&user);
  atomic_store(&round->held, 1);
  for (;;) pause();
}

static void wait_for_lock(const struct lock_kind *kind, struct round *round, const char *path) {
  struct lock_user user;
  join_lock(kind, &user, &round->words, path);
  atomic_store(&round->asking, 1);
  kind->lock(&user);
  atomic_store(&round->entered_ns, now_ns());
  kind->unlock(&user);
}

static uint64_t kill_once(const struct lock_kind *kind, struct round *round, const char *path, const struct options *options) {
  atomic_store(&round->held, 0);
  atomic_store(&round->asking, 0);
  pid_t holder = fork_child();
  if (holder == 0) hold_until_killed(kind, round, path, options);
  await_flag(&round->held, holder, "holder");
  pid_t waiter = fork_child();
  if (waiter == 0) {
    wait_for_lock(kind, round, path);
    _exit(0);
  }
  await_flag(&round->asking, waiter, "waiter");
  await_sleep(waiter);
  uint64_t killed = now_ns();
  kill(holder, SIGKILL);
  int status;
  if (waitpid(waiter, &status, 0) != waiter || status != 0) die("the waiter failed");
  waitpid(holder, NULL, 0);
  return atomic_load(&round->entered_ns) - killed;
}

int recovery_main(const struct options *options) {
  struct round *round = map_shared(options, sizeof *round);
  uint64_t *ns = calloc((size_t)options->kills, sizeof *ns);
  if (ns == NULL) die("no memory");
  int matched = 0;
  for (size_t k = 0; k < lock_kind_count; k++) {
    const struct lock_kind *kind = &lock_kinds[k];
    if (options->lock != NULL && strcmp(options->lock, kind->name) != 0) continue;
    if (!kind->robust) {
      if (options->lock != NULL) die("%s stays locked for ever when its holder dies", kind->name);
      continue;
    }
    matched = 1;
    const char *path = scratch_path(options, kind->name);
    init_lock_words(&round->words);
    for (long i = 0; i < options->kills; i++) ns[i] = kill_once(kind, round, path, options);
    qsort(ns, (size_t)options->kills, sizeof *ns, compare_u64);
    size_t n = (size_t)options->kills;
    printf("{\"lock\":\"%s\",\"kills\":%ld,\"residentMib\":%ld,\"recoveryNs\":{\"min\":%llu,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"max\":%llu}}\n",
           kind->name, options->kills, options->resident_mib, (unsigned long long)ns[0], (unsigned long long)percentile(ns, n, 0.5),
           (unsigned long long)percentile(ns, n, 0.9), (unsigned long long)percentile(ns, n, 0.99), (unsigned long long)ns[n - 1]);
    fflush(stdout);
    unlink(path);
  }
  if (!matched) die("recovery has no lock \"%s\"", options->lock);
  free(ns);
  return 0;
}
