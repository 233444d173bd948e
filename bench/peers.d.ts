// The part of bench/package.json's packages that the benchmarks use, so that these type-check where they are not installed.

declare module 'fs-ext' {
  type Flags = 'sh' | 'ex' | 'shnb' | 'exnb' | 'un'
  export function flockSync(fd: number, flags: Flags): void
  export function flock(fd: number, flags: Flags, callback: (error: Error | null) => void): void
}

declare module 'shm-typed-array' {
  type Shared<T> = T & { readonly key?: number }
  interface Types {
    Buffer: Buffer
    shm: Buffer
    Int8Array: Int8Array
    Uint8Array: Uint8Array
    Int16Array: Int16Array
    Uint16Array: Uint16Array
    Int32Array: Int32Array
    Uint32Array: Uint32Array
    Float32Array: Float32Array
    Float64Array: Float64Array
  }
  interface SharedMemory {
    create<Name extends keyof Types>(count: number, typeKey: Name, key?: number): Shared<Types[Name]> | null
    get<Name extends keyof Types>(key: number, typeKey: Name): Shared<Types[Name]> | null
    detach(key: number, forceDestroy?: boolean): number
    detachAll(): number
    getTotalSize(): number
  }
  const shm: SharedMemory
  export default shm
}

declare module 'better-sqlite3' {
  namespace BetterSqlite3 {
    interface Statement {
      run(): unknown
    }
    interface Database {
      prepare(source: string): Statement
      close(): void
    }
  }
  const BetterSqlite3: new (path: string, options?: { readonly timeout?: number }) => BetterSqlite3.Database
  export default BetterSqlite3
}

declare module '@redis/client' {
  interface Client {
    connect(): Promise<unknown>
    set(key: string, value: string, options: { readonly condition: 'NX'; readonly expiration: { readonly type: 'PX'; readonly value: number } }): Promise<string | null>
    eval(script: string, options: { readonly keys: readonly string[]; readonly arguments: readonly string[] }): Promise<unknown>
    close(): Promise<void>
  }
  export function createClient(options: { readonly socket: { readonly path: string; readonly tls: false } }): Client
}
