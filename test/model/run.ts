import { explore } from './explorer.js'
import type { Action } from './driver.js'
const X = (extra: Partial<Action & {kind:'lock'}> = {}): Action => ({ kind: 'lock', mode: 'exclusive', name: 'a', ...extra })
const S = (extra: Partial<Action & {kind:'lock'}> = {}): Action => ({ kind: 'lock', mode: 'shared', name: 'a', ...extra })
const R: Action = {kind:'rejoin'}
const sets: Record<string, Action[][]> = {
  'X X R': [[X()],[X()],[R, X()]],
  'X S R': [[X()],[S()],[R, S()]],
  'S X R': [[S()],[X()],[R, X({name:'b'})]],
  'X X X': [[X()],[X()],[X()]],
  'Xu Xu Xu': [[X({urgent:true})],[X({urgent:true})],[X({urgent:true})]],
  'X X S': [[X()],[X()],[S()]], 'X S S': [[X()],[S()],[S()]],
  'Xt X S': [[X({timeout:true})],[X()],[S()]],
  'Xut Xut X': [[X({urgent:true,timeout:true})],[X({urgent:true,timeout:true})],[X()]],
  'Xu Su Xu': [[X({urgent:true})],[S({urgent:true})],[X({urgent:true})]],
  'X Sut Xut': [[X()],[S({urgent:true,timeout:true})],[X({urgent:true, timeout:true})]],
  'Xa Xb X': [[X()],[X({name:'b'})],[X()]],
  'Xv S X': [[X({then:'downgrade'})],[S()],[X()]],
  'S^ S X': [[S({then:'upgrade'})],[S()],[X()]],
}
const only = process.argv[2]
for (const [name, programs] of Object.entries(sets)) for (const deaths of [0,1,2]) {
  if (only && only !== name) continue
  const t = Date.now()
  const r = explore({ programs, deaths, stateLimit: 6000000 })
  console.log(name, deaths, r.states, r.transitions, r.complete ? 'complete' : 'LIMIT', Date.now()-t, 'ms', r.violation ?? 'ok')
  if (r.violation) { console.log(r.schedule.map(s=>'   '+s).join('\n')); break }
}
