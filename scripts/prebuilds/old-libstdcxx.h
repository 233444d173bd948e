// old-libstdcxx.h: included before every source of a prebuild, so that it asks of libstdc++.so.6 no more than Node 20 does.
//
// The newest headers call a few functions that older libraries lack. Each has an older equal, or never matters here.
#include <bits/c++config.h>

namespace std {
// Thrown for arrays of more bytes than there are addresses: never. GLIBCXX_3.4.29 otherwise.
__attribute__((weak, noreturn, visibility("hidden"))) void __throw_bad_array_new_length() { __builtin_abort(); }
}  // namespace std

#if __has_include(<features.h>)
#include <features.h>
#endif
#ifdef __GLIBC__
// The same function under its older version; GLIBCXX_3.4.30 otherwise. (A musl library has one version of each.)
__asm__(".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif
