/**
 * peer-server.ts: the other end of remotePeerCandidate(): for each number of milliseconds it is sent, one run, answered by
 * nanoseconds per pair.
 */
import { peerCandidate, peerNamed } from './peer-candidate.js'

const [, , name = '', directory = ''] = process.argv
const candidate = peerCandidate(peerNamed(name), directory)

process.on('message', runMs => {
  void candidate.then(async ({ sample }) => process.send!(await sample(runMs as number)))
})
