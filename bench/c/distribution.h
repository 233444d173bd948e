/* distribution.h: latencies of any number in a fixed space; lib/distribution.ts counts the same way. */
#ifndef BASELINE_DISTRIBUTION_H
#define BASELINE_DISTRIBUTION_H

#include "common.h"

/* Log-linear: 128 buckets per power of two, so a figure is right to 0.8 %. */
#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS + 1) << SUB_BITS)

struct distribution {
  uint64_t count, sum, max;
  uint32_t bucket[BUCKETS];
};

static inline unsigned bucket_of(uint64_t value) {
  if (value < (1u << SUB_BITS)) return (unsigned)value;
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
  return (shift + 1) << SUB_BITS | (unsigned)(value >> shift & ((1u << SUB_BITS) - 1));
}

static inline uint64_t bucket_top(unsigned index) {
  unsigned group = index >> SUB_BITS, low = index & ((1u << SUB_BITS) - 1);
  if (group == 0) return low;
  unsigned shift = group - 1;
  return ((((uint64_t)1 << SUB_BITS) + low + 1) << shift) - 1;
}

static inline void note(struct distribution *d, uint64_t ns) {
  d->bucket[bucket_of(ns)]++;
  d->count++;
  d->sum += ns;
  if (ns > d->max) d->max = ns;
}

static inline void merge(struct distribution *into, const struct distribution *from) {
  into->count += from->count;
  into->sum += from->sum;
  if (from->max > into->max) into->max = from->max;
  for (unsigned i = 0; i < BUCKETS; i++) into->bucket[i] += from->bucket[i];
}

static inline uint64_t quantile(const struct distribution *d, double share) {
  if (d->count == 0) return 0;
  uint64_t rank = (uint64_t)(share * (double)d->count + 0.9999999), seen = 0;
  if (rank < 1) rank = 1;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += d->bucket[i];
    if (seen >= rank) return bucket_top(i) < d->max ? bucket_top(i) : d->max;
  }
  return d->max;
}

static inline void print_distribution(const char *name, const struct distribution *d) {
  printf(",\"%s\":{\"count\":%llu,\"mean\":%.0f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu}", name,
         (unsigned long long)d->count, d->count ? (double)d->sum / (double)d->count : 0.0, (unsigned long long)quantile(d, 0.5),
         (unsigned long long)quantile(d, 0.9), (unsigned long long)quantile(d, 0.99), (unsigned long long)quantile(d, 0.999),
         (unsigned long long)d->max);
}

#endif
