/**
 * sqlite.ts: a transaction of SQLite as a lock, one database for each name. Waiting is SQLite's own: it sleeps 1, 2, 5, ... 100 ms between its tries.
 */
import { join } from 'node:path'
import type BetterSqlite3 from 'better-sqlite3'
import { type Peer, type SyncLocks, loadPackage, whyMissing } from './peer.js'

interface Transaction {
  readonly database: BetterSqlite3.Database
  readonly begin: BetterSqlite3.Statement
  readonly commit: BetterSqlite3.Statement
}

const PATIENCE_MS = 60_000

export const sqlite: Peer = {
  name: 'SQLite, BEGIN IMMEDIATE',
  scope: 'machine',
  isBlocking: true,
  whyNotShared: 'BEGIN IMMEDIATE keeps out writers, not readers',
  available: () => whyMissing('better-sqlite3'),
  open(directory): SyncLocks<Transaction> {
    const Database = loadPackage('better-sqlite3') as typeof BetterSqlite3 | undefined
    if (Database === undefined) throw new Error(whyMissing('better-sqlite3'))
    const transactions = new Map<string, Transaction>()
    const transactionOf = (name: string): Transaction => {
      let transaction = transactions.get(name)
      if (transaction === undefined) {
        const database = new Database(join(directory, `${name}.sqlite`), { timeout: PATIENCE_MS })
        transaction = { database, begin: database.prepare('BEGIN IMMEDIATE'), commit: database.prepare('COMMIT') }
        transactions.set(name, transaction)
      }
      return transaction
    }
    return {
      kind: 'sync',
      lock(name) {
        const transaction = transactionOf(name)
        transaction.begin.run()
        return transaction
      },
      unlock: transaction => void transaction.commit.run(),
      close() {
        for (const { database } of transactions.values()) database.close()
      },
    }
  },
}
