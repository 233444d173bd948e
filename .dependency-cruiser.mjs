// Who may import whom. A layer imports downwards only; the table is the one of the house rules, a file that is not in it has no
// place yet and may import nothing inside src/lock.

const root = ['errors', 'check', 'package-root']
const lock = name => `^src/lock/${name}\\.ts$`

/** src/lock, lowest first: what each file may import. `below`: everything in the rows above. */
const below = Symbol('below')
const layers = [
  ['layout', []],
  ['access', ['layout']],
  ['word', ['layout']],
  ['hash', ['layout', ...root]],
  ['clock', []],
  ['native', ['layout', ...root]],
  ['roster', ['layout', 'word']],
  ['notices', ['layout', 'word', 'roster']],
  ['holders', ['layout', 'word', 'roster']],
  ['protocol', ['layout', 'word', 'roster', 'notices']],
  ['doorbell', ['layout', 'native']],
  ['vigil', ['layout', 'clock', 'doorbell']],
  ['region', ['layout', 'native', ...root]],
  ['participant', ['layout', 'word', 'roster', 'clock', 'doorbell', 'region', 'native', 'protocol', ...root]],
  ['turn', []],
  ['attendance', ['layout', 'clock', 'doorbell', 'turn', 'protocol']],
  ['queue', ['notices', 'turn', ...root]],
  ['watchfulness', ['native']],
  ['waiters', ['layout', 'word', 'roster', 'notices', 'holders', 'clock', 'doorbell', 'vigil', 'turn', 'attendance', 'native', 'watchfulness', 'region', 'participant', 'protocol', 'queue', ...root]],
  ['session', below],
  ['aborts', []],
  ['guard', below],
  ['lock-options', below],
  ['handle', below],
  ['space', below],
  ['lock-set', below],
  ['inspect', below],
  ['audit', below],
  ['observer', below],
  ['web-locks', below],
  ['table', below],
  ['escape', ['hash', ...root]],
  ['flock-queue', ['escape', 'clock', 'native', ...root]],
  ['flock-guard', ['guard', 'escape', 'flock-queue', ...root]],
  ['flock-request', ['escape', 'hash', 'flock-queue', ...root]],
  ['flock', below],
]

/** The public objects know each other's types: a guard has a handle, a handle has a space. Only types go upwards. */
const publicObjects = ['guard', 'handle', 'space', 'table']

const known = layers.map(([name]) => name)
const pathOf = name => (root.includes(name) ? `^src/${name}\\.ts$` : lock(name))

const layerRules = layers.flatMap(([name, allowed], row) => {
  const rule = {
    name: `lock-${name}`,
    comment: `src/lock/${name}.ts may import ${allowed === below ? 'what is below it' : allowed.join(', ') || 'nothing'} only.`,
    severity: 'error',
    from: { path: lock(name) },
    to: { path: '^src/', pathNot: (allowed === below ? [...root, ...known.slice(0, row)] : allowed).map(pathOf) },
  }
  if (!publicObjects.includes(name)) return [rule]
  const typesOnly = { ...rule, name: `${rule.name}-types`, to: { path: publicObjects.map(pathOf), pathNot: rule.to.pathNot, dependencyTypesNot: ['type-only'] } }
  return [{ ...rule, to: { ...rule.to, pathNot: [...rule.to.pathNot, ...publicObjects.map(pathOf)] } }, typesOnly]
})

/** src/datastore, lowest first, by the same rule; all may import the root, and locking alone src/lock (below). */
const datastoreLayers = [
  ['errors', []],
  ['digest', []],
  ['format', ['digest']],
  ['names', ['digest']],
  ['zstd-frame', ['errors']],
  ['zstd', ['errors', 'format', 'zstd-frame']],
  ['shared-bytes', []],
  ['crypt', ['digest', 'format', 'shared-bytes']],
  ['blob', ['errors', 'format', 'zstd', 'crypt', 'shared-bytes']],
  ['chunk-index', ['errors', 'digest', 'format']],
  ['fixed-index', ['digest', 'format', 'chunk-index']],
  ['dynamic-index', ['digest', 'format', 'chunk-index']],
  ['catalogue', ['errors', 'digest', 'format']],
  ['canonical-json', ['errors']],
  ['key-file', ['errors', 'format', 'crypt', 'canonical-json']],
  ['manifest', ['errors', 'digest', 'names', 'crypt', 'blob', 'canonical-json']],
  ['chunker-scan', []],
  ['chunker', ['chunker-scan']],
  ['file-calls', []],
  ['files', ['errors', 'file-calls']],
  ['replace', ['files']],
  ['lock-plan', []],
  ['locking', ['errors', 'digest', 'lock-plan']],
  ['chunk-rules', ['blob']],
  ['chunk-store', ['errors', 'digest', 'format', 'names', 'blob', 'files', 'replace', 'locking', 'chunk-rules']],
  ['store', ['files', 'locking', 'chunk-store']],
  ['hierarchy', ['errors', 'format', 'names', 'files', 'store']],
  ['group-files', ['errors', 'names', 'files', 'replace', 'locking', 'store', 'hierarchy']],
  ['manifest-store', ['errors', 'format', 'names', 'canonical-json', 'manifest', 'replace', 'locking', 'store']],
  ['index-writer', ['errors', 'digest', 'format', 'fixed-index', 'dynamic-index']],
  ['session-chunks', ['errors', 'digest', 'blob', 'chunk-store']],
  ['backup-start', below],
  ['backup', below],
  ['reader', below],
  ['datastore-create', ['errors', 'files', 'replace', 'chunk-store', 'store']],
  ['datastore', below],
  ['tree/byte-path', []],
  ['tree/tar-header', []],
  ['tree/tar-block', ['errors', 'tree/tar-header']],
  ['tree/sparse-map', ['tree/tar-block', 'tree/tar-header']],
  ['tree/tar-entry', ['tree/sparse-map', 'tree/tar-block', 'tree/tar-header']],
  ['tree/tar-reader', ['tree/sparse-map', 'tree/tar-entry', 'tree/tar-block', 'tree/tar-header']],
  ['tree/exclude', ['tree/byte-path']],
  ['tree/file-table', ['file-calls', 'tree/byte-path', 'tree/tar-header']],
  ['tree/fingerprint', ['catalogue', 'tree/file-table', 'tree/tar-header']],
  ['tree/list', ['catalogue', 'file-calls', 'tree/byte-path', 'tree/tar-header', 'tree/exclude', 'tree/file-table', 'tree/fingerprint']],
  ['pipeline/sparse', []],
  ['tree/write', ['file-calls', 'tree/byte-path', 'tree/tar-header', 'pipeline/sparse']],
  ['pipeline/digest-set', ['digest']],
  ['pipeline/jobs', ['chunker', 'tree/list', 'tree/write']],
  ['pipeline/thread-errors', ['errors']],
  ['pipeline/garbage', []],
  ['pipeline/work', below],
  ['pipeline/worker', below],
  ['pipeline/processors', []],
  ['pipeline/pool', ['tree/list', 'pipeline/jobs', 'pipeline/processors', 'pipeline/slabs', 'pipeline/thread-errors']],
  ['pipeline/shared-pool', ['pipeline/pool']],
  ['pipeline/ordered', []],
  ['pipeline/slabs', ['pipeline/jobs']],
  ['pipeline/reuse', ['digest', 'catalogue', 'chunk-index', 'chunker', 'pipeline/jobs']],
  ['pipeline/pack', ['blob', 'digest', 'crypt', 'pipeline/digest-set', 'pipeline/jobs', 'pipeline/pool', 'pipeline/slabs']],
  ['pipeline/fixed', below],
  ['pipeline/dynamic', below],
  ['pipeline/unpack', below],
  ['tree/read', below],
  ['tree/batches', below],
  ['tree/tree-writer', below],
  ['tree/restore', below],
  ['previous', below],
  ['transfer', ['crypt', 'manifest', 'names']],
  ['meter', ['transfer']],
  ['device', []],
  ['source', below],
  ['high-level', below],
  ['restore', below],
  ['index', below],
]

const datastore = name => `^src/datastore/${name}\\.ts$`
const knownOfDatastore = datastoreLayers.map(([name]) => name)

const datastoreRules = datastoreLayers.map(([name, allowed], row) => ({
  name: `datastore-${name.replaceAll('/', '-')}`,
  comment: `src/datastore/${name}.ts may import ${allowed === below ? 'what is below it' : allowed.join(', ') || 'nothing'} only.`,
  severity: 'error',
  from: { path: datastore(name) },
  to: { path: '^src/', pathNot: [...root.map(pathOf), '^src/lock/', ...(allowed === below ? knownOfDatastore.slice(0, row) : allowed).map(datastore)] },
}))

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...layerRules,
    ...datastoreRules,
    {
      name: 'datastore-without-a-place',
      comment: 'A new file of src/datastore gets its row in the table above first.',
      severity: 'error',
      from: { path: '^src/datastore/', pathNot: knownOfDatastore.map(datastore) },
      to: { path: '^src/datastore/' },
    },
    {
      name: 'lock-without-a-place',
      comment: 'A new file of src/lock gets its row in the table above first.',
      severity: 'error',
      from: { path: '^src/lock/', pathNot: known.map(lock) },
      to: { path: '^src/lock/' },
    },
    {
      name: 'root-imports-nothing',
      comment: 'errors.ts, check.ts and package-root.ts are at the bottom.',
      severity: 'error',
      from: { path: '^src/(errors|check|package-root)\\.ts$' },
      to: { path: '^src/', pathNot: '^src/errors\\.ts$' },
    },
    {
      name: 'lock-knows-no-upper-layer',
      comment: 'Locks know nothing of data stores, of the command line, of the package face.',
      severity: 'error',
      from: { path: '^src/lock/' },
      to: { path: '^src/(datastore|cli|cluster|web)/|^src/index\\.ts$' },
    },
    {
      name: 'datastore-locks-through-locking',
      comment: 'Which operation locks what is decided in one place.',
      severity: 'error',
      from: { path: '^src/datastore/', pathNot: '^src/datastore/(locking|file-calls|shared-bytes)\\.ts$' },
      to: { path: '^src/lock/' },
    },
    {
      name: 'file-calls-know-the-addon-alone',
      comment: 'The calls on files and on shared bytes that Node lacks are in the addon too, and have nothing to do with locks.',
      severity: 'error',
      from: { path: '^src/datastore/(file-calls|shared-bytes)\\.ts$' },
      to: { path: '^src/', pathNot: '^src/lock/native\\.ts$' },
    },
    {
      name: 'datastore-knows-no-upper-layer',
      severity: 'error',
      from: { path: '^src/datastore/' },
      to: { path: '^src/(cli|cluster|web)/|^src/index\\.ts$' },
    },
    {
      name: 'cli-uses-the-public-face',
      comment: 'What the command line can do, a user of the package can do.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/', pathNot: '^src/cli/|^src/(datastore/)?index\\.ts$' },
    },
    {
      name: 'nothing-imports-the-cli',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'addon-loaded-once',
      comment: 'The addon is loaded in src/lock/native.ts, nowhere else.',
      severity: 'error',
      from: { path: '^src/', pathNot: lock('native') },
      to: { path: '(^|/)(bindings|node-gyp-build|node-addon-api)(/|$)|\\.node$' },
    },
    {
      name: 'terminal-packages-in-the-cli',
      comment: 'A program that links the library does not load an argument parser.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cli/' },
      to: { path: '(^|/)node_modules/(commander|cli-table3|cli-progress)(/|$)|^(commander|cli-table3|cli-progress)$' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'only-what-users-get',
      comment: 'Users do not install devDependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'], pathNot: '/@types/' },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true, // imports of types count: they too say who knows whom
    tsConfig: { fileName: 'tsconfig.json' },
    detectProcessBuiltinModuleCalls: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
  },
}
