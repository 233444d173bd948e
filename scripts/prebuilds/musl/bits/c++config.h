// c++config.h: Debian's C++ headers are set up for glibc; this is what differs with musl's C headers. Found first, then theirs.
//
// Nothing of glibc's C++ library ends up in the binary: it asks for libstdc++.so.6 and libgcc_s.so.1, which every Node for
// musl has loaded before any addon. What the headers put into the binary themselves is compiled from musl's declarations (the
// size of a mutex, say), as in that libstdc++.
#define __GLIBC_PREREQ(major, minor) 0
#define __locale_t locale_t
#define __uselocale uselocale
#define _GLIBCXX_GTHREAD_USE_WEAK 0
#include_next <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
