import { type Case, close, failsWith, filled, hex, make, ping, pong, saw, send } from "../Case.js"

/** Pings are answered with what they carry, pongs are not. RFC 6455 §5.5.2, §5.5.3. */

const answered = (id: string, payload: string | Uint8Array, rest: Partial<Case> = {}) =>
  make(id, [send(ping(payload))], { expected: [saw.pong(payload)], ...rest })

const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`)
const unsolicited = "unsolicited pong payload"

export const group2: ReadonlyArray<Case> = [
  answered("2.1", ""),
  answered("2.2", "Hello, world!"),
  answered("2.3", hex("00fffefdfcfb00ff")),
  answered("2.4", filled(0xfe, 125)),
  make("2.5", [send(ping(filled(0xfe, 126)))], { ending: failsWith(1002) }),
  answered("2.6", filled(0xfe, 125), { writing: { chops: 1 }, patience: 2_000 }),
  make("2.7", [send(pong()), close(1000)]),
  make("2.8", [send(pong(unsolicited)), close(1000)]),
  make("2.9", [send(pong(unsolicited), ping("ping payload"))], { expected: [saw.pong("ping payload")] }),
  make("2.10", [send(...ten.map((payload) => ping(payload)))], {
    expected: ten.map((payload) => saw.pong(payload)),
    patience: 3_000
  }),
  make("2.11", [send(...ten.map((payload) => ping(payload)))], {
    expected: ten.map((payload) => saw.pong(payload)),
    writing: { chops: 1 },
    patience: 3_000
  })
]
