import {
  type Case,
  close,
  closeFrame,
  continuation,
  type Ending,
  hex,
  make,
  open,
  ping,
  repeated,
  type Step,
  saw,
  send,
  text,
  utf8
} from "../Case.js"

/** The closing handshake, which the fuzzer begins in every case. RFC 6455 §5.5.1, §7. */

const clean = (...codes: ReadonlyArray<number>): Ending => ({ closedBy: "fuzzer", clean: true, codes })
/** A close frame that breaks a rule: an answer that says so, or the end of TCP. */
const broken = (...codes: ReadonlyArray<number>): Ending => ({ closedBy: "fuzzer", clean: false, codes })

const normal = clean(1000)
const hello = "Hello World!"
const goodbye = (id: string, ending: Ending, ...steps: ReadonlyArray<Step>): Case => make(id, steps, { ending })

/** What follows a close frame is discarded. RFC 6455 §1.4. */
const order: ReadonlyArray<Case> = [
  make("7.1.1", [send(text(hello))], { expected: [saw.text(hello)] }),
  goodbye("7.1.2", normal, close(1000), send(closeFrame())),
  goodbye("7.1.3", normal, close(1000), send(ping())),
  goodbye("7.1.4", normal, close(1000), send(text(hello))),
  goodbye("7.1.5", normal, send(text("fragment1", open)), close(1000), send(continuation("fragment2"))),
  make("7.1.6", [send(text(repeated(utf8("BAsd7&jh23"), 262_144)), text(hello)), close(1000), send(ping())], {
    informational: true
  })
]

const payloads: ReadonlyArray<Case> = [
  goodbye("7.3.1", normal, close()),
  goodbye("7.3.2", broken(1002), close(undefined, "a")),
  goodbye("7.3.3", normal, close(1000)),
  goodbye("7.3.4", normal, close(1000, hello)),
  goodbye("7.3.5", normal, close(1000, "*".repeat(123))),
  goodbye("7.3.6", broken(1002), close(1000, "*".repeat(124))),
  goodbye("7.5.1", broken(1002, 1007), close(1000, hex("cebae1bdb9cf83cebcceb5 eda080 656469746564")))
]

const valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
const invalid = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]
const unspecified = [5000, 65_535]

const codes: ReadonlyArray<Case> = [
  ...valid.map((code, i) => goodbye(`7.7.${i + 1}`, clean(1000, code), close(code))),
  ...invalid.map((code, i) => goodbye(`7.9.${i + 1}`, broken(1002), close(code))),
  ...unspecified.map((code, i) => make(`7.13.${i + 1}`, [close(code)], { informational: true }))
]

export const group7: ReadonlyArray<Case> = [...order, ...payloads, ...codes]
