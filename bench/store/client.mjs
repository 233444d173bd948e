// client.mjs: one client of a datastore, a whole process as any user of the package would run it: backs up or restores some parts of the data.
//
// usage: node client.mjs init|backup|restore STORE TABLE KEY DIRECTORY GROUP PART...
// KEY: 64 hex digits, or "-" for no encryption. A part is a directory of the data: its "tree" is a tar archive, its "disk.img" an image.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { backUp, CryptKey, Datastore, parseGroup, restore } from '../../dist/datastore.js'

const [verb, store, table, hex, directory = '', group = '', ...parts] = process.argv.slice(2)
const options = hex === '-' ? {} : { key: new CryptKey(Buffer.from(hex, 'hex')) }

async function open() {
  return await (verb === 'init' ? Datastore.create(store, { table }) : Datastore.open(store, { table, syncLevel: 'filesystem' }))
}

async function restoreAll(datastore, snapshot) {
  for (const part of parts) {
    mkdirSync(join(directory, part, 'tree'), { recursive: true })
    await restore(datastore, snapshot, `${part}.tar.didx`, { kind: 'directory', path: join(directory, part, 'tree') }, options)
    await restore(datastore, snapshot, `${part}.img.fidx`, { kind: 'file', path: join(directory, part, 'disk.img') }, options)
  }
}

const datastore = await open()
if (verb === 'backup') {
  const sources = parts.flatMap(part => [
    { kind: 'directory', name: `${part}.tar`, path: join(directory, part, 'tree') },
    { kind: 'image', name: `${part}.img`, path: join(directory, part, 'disk.img') },
  ])
  const { warnings } = await backUp(datastore, parseGroup(group), sources, { owner: 'bench@pam', ...options })
  if (warnings.length > 0) throw new Error(warnings.join('\n'))
}
if (verb === 'restore') {
  const snapshots = await datastore.snapshots(parseGroup(group))
  await restoreAll(datastore, snapshots.toSorted((a, b) => a.time - b.time).at(-1))
}
await datastore.close()
