/*
 * common.h: what the questions of the baseline program share: time, arguments, statistics, the mapped file.
 *
 * Nothing here runs inside a timed loop except now_ns() where a loop says so.
 */
#ifndef BASELINE_COMMON_H
#define BASELINE_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Two cache lines: neighbours are not drawn in by the adjacent-line prefetcher. */
#define APART _Alignas(128)

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Prints a sentence on standard error and ends the process with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The options of the command line; every option has a value, an unknown one ends the program. */
struct options {
  const char *directory; /* a tmpfs: where mapped files and lock files live */
  const char *lock;      /* which lock or case; NULL: all of them */
  long runs;
  long run_ms;
  long processes;
  long hold_us;
  long think_us;
  long kills;
  long resident_mib;
  long names;
  long shared_percent;
  long sample_every;
};

/* A file in options.directory that this process made and removes at the end. The name stays valid. */
const char *scratch_path(const struct options *options, const char *suffix);

/* Maps `bytes` zeroed bytes of a new file on the tmpfs, shared; the file is unlinked at once. */
void *map_shared(const struct options *options, size_t bytes);

/* fork(); the child is killed when its parent ends, however that ends. */
pid_t fork_child(void);

double median(double *values, size_t count); /* sorts its argument */

/* The `share` (0 ... 1) of a sorted array, nearest rank. */
uint64_t percentile(const uint64_t *sorted, size_t count, double share);
int compare_u64(const void *a, const void *b);

/* The question's entry points: each prints one line of JSON per lock. */
int uncontended_main(const struct options *options);
int handover_main(const struct options *options);
int recovery_main(const struct options *options);
int crowd_main(const struct options *options);

#endif
