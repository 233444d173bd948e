/**
 * driver.cc: the threads of the addon without Node, for the thread sanitizer: SECONDS THREADS SEED. scripts/sanitize.mjs builds and runs it.
 *
 * All participants use one mapping, unlike the addon's, where each opening has its own: else the sanitizer would see different addresses and
 * miss every race.
 */
#include "driver.h"

int main(int count, char** arguments) {
  if (count != 4) fail("usage: driver SECONDS THREADS SEED");
  const auto number = [&](int at) { return static_cast<uint32_t>(std::strtoul(arguments[at], nullptr, 10)); };
  const Options options = {number(1), number(2), number(3)};
  driveSentinels(options);
  drivePools(options);
  return 0;
}
