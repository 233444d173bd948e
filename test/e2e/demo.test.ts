/** `locktable demo`: real processes, files and kills; and that its proof can fail. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { tellToEnd } from '../../src/cli/demo-child.js'
import { type DemoPlan, findGroups, manifestPath } from '../../src/cli/demo-plan.js'
import { prove } from '../../src/cli/demo-proof.js'
import { proveStore } from '../../src/cli/demo-store-proof.js'
import { digestOfTree } from '../../src/cli/demo-store-tree.js'
import { journalOf, type StorePlan } from '../../src/cli/demo-store-worker.js'
import { Datastore, backUp, formatSnapshot, parseGroup } from '../../src/datastore/index.js'
import { MAIN, locktable, open, place, processState, start, until } from './support.js'

/** A small tree like node_modules, and nothing else in the directories where the demo leaves things. */
function tree(): { root: string; environment: NodeJS.ProcessEnv; left: () => string[] } {
  const root = join(place.directory, 'tree')
  for (const name of ['one', 'two/lib', '@scope/three', 'empty']) mkdirSync(join(root, name), { recursive: true })
  for (let i = 0; i < 6; i++) {
    writeFileSync(join(root, 'one', `${i}.txt`), `one ${i}`.repeat(1000))
    writeFileSync(join(root, 'two/lib', `${i}.txt`), `two ${i}`.repeat(1000))
  }
  writeFileSync(join(root, '@scope/three/index.js'), 'three')
  const scratch = join(place.directory, 'scratch')
  mkdirSync(scratch)
  return { root, environment: { TMPDIR: scratch, XDG_RUNTIME_DIR: scratch }, left: () => readdirSync(scratch) }
}

describe('a day', () => {
  test('three seconds of it add up, and leave nothing behind', async () => {
    const { root, environment, left } = tree()
    const { status, out, err } = await start(['demo', '--seconds', '3', '--workers', '3', '--kill-every', '150', root], environment).ended
    expect(err).toBe('')
    expect(out).toContain('3 backup groups')
    expect(out).toMatch(/^PROOF: every counter adds up: [1-9]\d* rewrites, [1-9]\d* kills/m)
    expect(out).toMatch(/^processes killed with -9 +[1-9]/m)
    expect(out).toMatch(/^until the next holder was in +p50 [\d.]+ m?s, p99 [\d.]+ m?s, max [\d.]+ m?s$/m)
    expect(out).toMatch(/^\s+\d\.\d s +\d+ locks/m)
    expect(status).toBe(0)
    expect(left()).toEqual([])
  })

  test('without locks the proof fails', async () => {
    const { root, environment } = tree()
    const { status, out } = await start(['demo', '--seconds', '1.5', '--workers', '4', '--kill-every', '0', '--without-locks', root], environment).ended
    expect(out).toMatch(/^two holders at once +[1-9]/m)
    expect(out).toMatch(/^PROOF: FAILED$/m)
    expect(status).toBe(1)
  })

  test('interrupted it ends early, with its proof', async () => {
    const { root, environment, left } = tree()
    const run = start(['demo', '--seconds', '600', '--workers', '2', root], environment)
    await until(() => /[1-9]\d* rewrites/.test(run.out))
    run.child.kill('SIGINT')
    const { status, out, err } = await run.ended
    expect(err).toBe('')
    expect(out).toMatch(/^PROOF: every counter adds up/m)
    expect(status).toBe(0)
    expect(left()).toEqual([])
  })

  test('a worker that was killed a moment before the end does not hear of it, and that is no fault', async () => {
    const child = fork(MAIN, ['demo-worker', 'no plan', 'w1'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    const gone = once(child, 'exit')
    await once(child, 'spawn')
    const failed = vi.fn()
    child.on('error', failed)
    child.kill('SIGKILL')
    // Until it is dead, without a turn of the event loop: that would see its end of the channel closed.
    while (processState(child.pid ?? 0) !== undefined) continue
    expect(child.connected).toBe(true)
    tellToEnd(child)
    await gone
    expect(failed).not.toHaveBeenCalled()
  })

  test.each(['demo-worker', 'demo-store-worker'])('a %s whose demo is gone before it listens ends', async worker => {
    const plan = join(place.directory, 'plan.json')
    const { root } = tree()
    const repository = join(place.directory, 'store')
    await (await Datastore.create(repository, { table: place.path, syncLevel: 'none' })).close()
    const day: DemoPlan = { tablePath: place.path, storeDirectory: place.directory, groups: findGroups(root), withoutLocks: false }
    for (const { name } of day.groups) writeFileSync(manifestPath(day, name), JSON.stringify({ group: name, edits: 0, writers: {}, digests: {} }))
    writeFileSync(plan, JSON.stringify({ ...day, repository, scratch: place.directory, trees: [root] }))
    // Some versions of Node learn of the disconnection only later: then it works for a while.
    const child = fork(MAIN, [worker, plan, '0'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const gone = once(child, 'exit')
    child.disconnect()
    expect(await gone).toEqual([0, null])
  })

  test('in a table that is there it leaves the table', async () => {
    const { root, environment } = tree()
    const table = await open({ spaces: ['group', 'snapshot', 'manifest'] })
    const { status } = await start(['demo', '--table', place.path, '--seconds', '1', '--workers', '2', root], environment).ended
    expect(status).toBe(0)
    expect(table.failure).toBeUndefined()
    expect(table.inspect().slots).toEqual([])
  })

  test('a directory without files, and none', async () => {
    mkdirSync(join(place.directory, 'empty'))
    expect(await locktable('demo', join(place.directory, 'empty'))).toMatchObject({ status: 66, err: expect.stringContaining('has no files') as string })
    expect(await locktable('demo', '/no/such/tree')).toMatchObject({ status: 66, err: expect.stringContaining('/no/such/tree') as string })
  })
})

describe('the second act: a datastore', () => {
  test('three seconds of it: every snapshot restores bit for bit, and nothing is left behind', async () => {
    const { root, environment, left } = tree()
    const { status, out, err } = await start(['demo', '--store', '--seconds', '3', '--workers', '2', '--kill-every', '150', root], environment).ended
    expect(err).toBe('')
    expect(out).toMatch(/^snapshots listed +[1-9]/m)
    expect(out).toMatch(/^processes killed with -9 +[1-9]/m)
    expect(out).toMatch(/^PROOF: all [1-9]\d* snapshots restore bit for bit, after [1-9]\d* kills; nothing that was finished is lost$/m)
    expect(status).toBe(0)
    expect(left()).toEqual([])
  })

  test('its proof fails if a snapshot is not what was backed up, does not restore, or is missing', async () => {
    const { root } = tree()
    const base = join(place.directory, 'store')
    const store = await Datastore.create(base, { table: place.path, syncLevel: 'none' })
    const plan: StorePlan = { repository: base, tablePath: place.path, scratch: place.directory, trees: [root] }
    const backUpAs = async (notes: string): Promise<string> => {
      const { snapshot } = await backUp(store, parseGroup('host/a'), [{ kind: 'directory', name: 'tree.tar', path: root }], { owner: 'demo@pam', notes })
      return formatSnapshot(snapshot)
    }
    const right = await backUpAs(digestOfTree(root))
    writeFileSync(journalOf(plan), `${right}\n`)
    expect(await proveStore(store, plan, () => undefined)).toMatchObject({ listed: 1, wrong: [], lost: [], unfinished: 0 })
    const wrong = await backUpAs('another digest')
    writeFileSync(journalOf(plan), `${right}\nhost/a/2020-01-01T00:00:00Z\n`)
    expect(await proveStore(store, plan, () => undefined)).toMatchObject({ listed: 2, wrong: [`${wrong} is not what was backed up`], lost: ['host/a/2020-01-01T00:00:00Z'] })
    for await (const { digest } of store.chunks.iterate()) rmSync(store.chunks.pathOf(digest))
    expect((await proveStore(store, plan, () => undefined)).wrong).toEqual([expect.stringContaining('cannot be restored'), expect.stringContaining('cannot be restored')])
    await store.close()
  })
})

describe('the proof', () => {
  /** A day of two workers, by hand: w1 made two rewrites, w2 was killed in its first. */
  function store(change: { edits?: number; writer?: number; digest?: string } = {}): DemoPlan {
    const { root } = tree()
    const groups = findGroups(root)
    const plan: DemoPlan = { tablePath: place.path, storeDirectory: place.directory, groups, withoutLocks: false }
    for (const { name } of groups) writeFileSync(manifestPath(plan, name), JSON.stringify({ group: name, edits: 0, writers: {}, digests: {} }))
    const file = join(root, '@scope/three/index.js')
    const digest = change.digest ?? '8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f'
    const writers = { w1: 2, ...(change.writer === undefined ? {} : { w2: change.writer }) }
    writeFileSync(manifestPath(plan, 'one'), JSON.stringify({ group: 'one', edits: change.edits ?? 2, writers, digests: { [file]: digest } }))
    const lines = (...of: object[]): string => of.map(line => `${JSON.stringify(line)}\n`).join('')
    writeFileSync(join(place.directory, 'journal-w1'), lines(
      { kind: 'begin', edit: 1, group: 'one' }, { kind: 'end', edit: 1, group: 'one' }, { kind: 'begin', edit: 2, group: 'one' }, { kind: 'end', edit: 2, group: 'one' }))
    writeFileSync(join(place.directory, 'journal-w2'), lines({ kind: 'begin', edit: 1, group: 'one' }))
    return plan
  }

  test.each([
    ['the cut-off rewrite had not taken place', {}, { completed: 2, cutOff: 1, landed: 0, sum: 2, miscounted: [] }],
    ['it had', { edits: 3, writer: 1 }, { completed: 2, cutOff: 1, landed: 1, sum: 3, miscounted: [] }],
    ['one rewrite was lost', { edits: 1 }, { landed: 0, sum: 1, miscounted: ['one counts 1 rewrites, there were 2'] }],
    ['one was counted twice', { edits: 4, writer: 1 }, { landed: 1, sum: 4, miscounted: ['one counts 4 rewrites, there were 3'] }],
    ['it left its name, but was lost', { edits: 2, writer: 1 }, { landed: 1, miscounted: ['one counts 2 rewrites, there were 3'] }],
    ['a digest is wrong', { digest: 'x' }, { wrongDigests: 1, digests: 1, miscounted: [] }],
    ['it is right', {}, { wrongDigests: 0, digests: 1 }],
  ])('%s', (_what, change, expected) => {
    expect(prove(store(change))).toMatchObject(expected)
  })

  test('groups are the directories of the first level, scopes by their members; what is empty is none', () => {
    const groups = findGroups(tree().root)
    expect(groups.map(group => [group.name, group.snapshots.map(snapshot => snapshot.files.length)])).toEqual(
      [['@scope/three', [1]], ['one', [4, 2]], ['two', [4, 2]]])
    for (const file of groups.flatMap(group => group.snapshots.flatMap(snapshot => snapshot.files))) expect(readFileSync(file).length).toBeGreaterThan(0)
  })
})
