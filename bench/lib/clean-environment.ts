/**
 * clean-environment.ts: of the variables of whoever runs a benchmark, what is measured gets those that say where things are, and none that say how a
 * program runs. A NODE_EXTRA_CA_CERTS costs each Node process 75 ms of a processor before its first line; NODE_OPTIONS, MALLOC_… and GOGC can do anything.
 */
const KEPT = /^(?:PATH|HOME|TMPDIR|XDG_\w+|LOCKTABLE_\w+)$/

/** For all processes that are started from now on. */
export function cleanEnvironment(): void {
  for (const name of Object.keys(process.env)) if (!KEPT.test(name)) Reflect.deleteProperty(process.env, name)
}
