/** `locktable store namespace` as a user runs it. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inShop, newGroup, shop, snapshot, store, storeJson } from './store-support.js'

const namespace = (...args: string[]): ReturnType<typeof store> => store('namespace', ...args)
const names = async (...args: string[]): Promise<unknown> => (await storeJson('namespace', 'list', ...args)).namespaces

test('made, listed, used, removed', async () => {
  expect(await namespace('list')).toEqual({ status: 0, out: 'there are no namespaces\n', err: '' })
  expect(await namespace('create', 'west')).toEqual({ status: 0, out: 'made namespace west\n', err: '' })
  expect(await storeJson('namespace', 'create', 'west/berlin')).toEqual({ namespace: 'west/berlin' })
  await snapshot(newGroup(), { namespace: ['west', 'berlin'] })
  expect((await namespace('list')).out).toMatch(/^NAMESPACE +GROUPS\nwest +0\nwest\/berlin +1\n$/)
  expect(await storeJson('namespace', 'list')).toEqual({ repository: shop.base, namespaces: [{ namespace: 'west', groups: 0 }, { namespace: 'west/berlin', groups: 1 }] })
  expect(await names('west')).toEqual([{ namespace: 'west/berlin', groups: 1 }])
  expect(await names('west/berlin')).toEqual([])

  const refusal = (text: string): object => ({ status: 73, out: '', err: `locktable: ${text}\n` })
  expect(await namespace('create', 'west')).toEqual(refusal('the namespace west exists'))
  expect(await namespace('remove', 'west')).toEqual(refusal('the namespace west is not empty: it has 1 namespace'))
  expect(await namespace('remove', 'west/berlin')).toEqual(refusal('the namespace west/berlin is not empty: it has 1 group'))
  await snapshot(newGroup(), { namespace: ['west'] })
  await snapshot(newGroup(), { namespace: ['west'] })
  expect(await namespace('remove', 'west')).toEqual(refusal('the namespace west is not empty: it has 2 groups and 1 namespace'))
  rmSync(join(shop.base, 'ns/west/ns/berlin/host'), { recursive: true })
  expect(await namespace('remove', 'west/berlin')).toEqual({ status: 0, out: 'removed namespace west/berlin\n', err: '' })
  expect(existsSync(join(shop.base, 'ns/west/ns/berlin'))).toBe(false)
  rmSync(join(shop.base, 'ns/west/host'), { recursive: true })
  writeFileSync(join(shop.base, 'ns/west/readme'), '')
  expect(await namespace('remove', 'west')).toEqual(refusal('the namespace west is not empty: it has files that are no backups'))
  rmSync(join(shop.base, 'ns/west/readme'))
  expect(await storeJson('namespace', 'remove', 'west')).toEqual({ namespace: 'west' })
  expect(await names()).toEqual([])
})

test('--parents makes those above, and does not mind what is there', async () => {
  expect(await namespace('create', 'a/b/c')).toEqual({ status: 67, out: '', err: 'locktable: there is no namespace a/b (--parents makes it)\n' })
  expect(await names()).toEqual([])
  for (let i = 0; i < 2; i++) expect(await namespace('create', '-p', 'a/b/c')).toEqual({ status: 0, out: 'made namespace a/b/c\n', err: '' })
  expect(await names()).toMatchObject([{ namespace: 'a' }, { namespace: 'a/b' }, { namespace: 'a/b/c' }])
  for (const name of ['a/b/c', 'a/b', 'a']) expect(await namespace('remove', name)).toMatchObject({ status: 0 })
})

describe('refused in one line', () => {
  const long = 'x'.repeat(33)
  const rows: readonly (readonly [args: readonly string[], status: number, text: string])[] = [
    [['list', 'nowhere'], 67, 'there is no namespace nowhere'],
    [['remove', 'nowhere'], 67, 'there is no namespace nowhere'],
    [['create'], 64, "missing required argument 'namespace'"],
    [['create', ''], 64, 'the root namespace'],
    [['remove', ''], 64, 'the root namespace'],
    [['create', '/west'], 64, 'must be made of'],
    [['create', '../west'], 64, 'must be made of'],
    [['create', 'west//berlin'], 64, 'must be made of'],
    [['create', '-p', 'a/b/c/d/e/f/g/h'], 64, 'at most 7'],
    [['create', long], 64, '1 to 32'],
    [['create', '-p', `${long}/x`], 64, '1 to 32'],
    [['forget', 'west'], 64, "unknown command 'forget'"],
    [['list', '-r', '/no/such/store'], 66, 'there is no /no/such/store'],
  ]
  test.each(rows)('%j: %i', async (args, status, text) => {
    const end = await namespace(...args)
    expect(end).toEqual({ status, out: '', err: expect.stringMatching(/^locktable: [^\n]+\n$/) })
    expect(end.err).toContain(text)
  })

  test('a namespace that backup is to make, too', async () => {
    const file = inShop('file')
    writeFileSync(file, 'x')
    expect(await store('backup', '-g', newGroup(), '--ns', long, '--create-ns', `a.bin:${file}`)).toEqual({ status: 64, out: '', err: expect.stringContaining('1 to 32') })
  })
})

test('what has no name of ours is passed over', async () => {
  for (const name of ['ok', '.hidden', 'a b']) mkdirSync(join(shop.base, 'ns', name), { recursive: true })
  writeFileSync(join(shop.base, 'ns', 'file'), '')
  expect(await names()).toEqual([{ namespace: 'ok', groups: 0 }])
  rmSync(join(shop.base, 'ns'), { recursive: true })
})
