import { buildBench, buildLibrary, built } from "./build.js"
import { startChild } from "./child.js"
import type { FromReaders, FromSpeaker, ToReaders, ToSpeaker } from "./soakMessages.js"

/**
 * Broadcasts to many connections of which some read slowly, under each policy for slow peers: what a server's memory
 * does, and whether anybody who keeps up loses anything. `npm run soak -- [seconds]`, 60 for each policy unless told otherwise.
 */

const connections = 2_000
const slow = 200
const policies = ["close", "suspend", "dropNewest", "dropOldest"] as const

const MiB = 1_048_576

const soak = async (policy: (typeof policies)[number], seconds: number): Promise<boolean> => {
  const speaker = startChild<ToSpeaker, FromSpeaker>(0, { script: built("servers/speaker"), args: [policy] })
  const readers = startChild<ToReaders, FromReaders>(1, { script: built("readers") })
  try {
    const { port } = await speaker.receive("Listening")
    readers.send({ _tag: "Connect", port, connections, slow })
    await readers.receive("Connected")
    const rounds = [
      { name: `20 a second of 4 KiB for ${seconds} s`, talk: { count: 20 * seconds, perSecond: 20, bytes: 4_096 } },
      { name: "1,000 at once of 200 bytes", talk: { count: 1_000, perSecond: undefined, bytes: 200 } }
    ]
    let isFine = true
    for (const { name, talk } of rounds) {
      speaker.send({ _tag: "Talk", ...talk })
      const said = await speaker.receive("Said")
      readers.send({ _tag: "Count" })
      const { complete, least, open } = await readers.receive("Counted")
      const grown = (said.peak - said.before) / MiB
      console.log(
        `${policy.padEnd(10)} ${name}: fast readers that have all ${complete} of ${connections - slow}` +
          ` (least ${least} of ${talk.count}), connections left ${open},` +
          ` not sent ${said.missed}, memory ${(said.before / MiB).toFixed(0)} + ${grown.toFixed(0)} MiB at most,` +
          ` took ${said.seconds.toFixed(1)} s`
      )
      // What waits for a slow peer is bounded by its high-water mark, 256 KiB, and a message; Node keeps as much again.
      isFine &&= complete === connections - slow && grown < slow
    }
    return isFine
  } finally {
    await Promise.all([speaker.kill(), readers.kill()])
  }
}

const seconds = Number(process.argv[2] ?? 60)
buildBench()
buildLibrary()
let isFine = true
for (const policy of policies) isFine = (await soak(policy, seconds)) && isFine
process.exitCode = isFine ? 0 : 1
