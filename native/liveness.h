/**
 * liveness.h: locks on single bytes of the table file, which certify life and death.
 *
 * They are open-file-description locks: they belong to the open file, not to the process (as POSIX locks do, which any
 * close() of any descriptor of the file would drop), so two openers in one process are told apart, and the kernel
 * releases them when neither descriptors nor mappings of the open file are left, which for a killed process is after its
 * last thread is gone.
 */
#ifndef LOCKTABLE_LIVENESS_H_
#define LOCKTABLE_LIVENESS_H_

#include <sys/types.h>

namespace locktable {

/** Locks one byte without waiting. @returns 0, EAGAIN if another open file is in the way, or another errno */
int lockByte(int fd, off_t offset, bool exclusive);

/** @returns 0 or an errno */
int unlockByte(int fd, off_t offset);

/** Releases every lock of the open file. Closing alone does not: a mapping, too, keeps an open file open. */
void unlockAll(int fd);

/** Whether another open file holds a lock on the byte; our own never count. @returns 0 (see `held`) or an errno */
int probeByte(int fd, off_t offset, bool* held);

}  // namespace locktable

#endif  // LOCKTABLE_LIVENESS_H_
