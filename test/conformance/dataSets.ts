import { Buffer } from "node:buffer"
import { deflateRawSync } from "node:zlib"
import { Random } from "../fuzz/random.js"

/**
 * Five files such as people send, made up from a seed: the same in every run,
 * and as hard to compress as what they imitate.
 */

export interface DataSet {
  readonly name: "JSON" | "bitmap" | "prose" | "HTML" | "PDF"
  readonly type: "text" | "binary"
  readonly bytes: Uint8Array
  /** The n-th message of so many code points or, of binary files, octets; behind the end comes the beginning. */
  readonly message: (n: number, length: number) => Uint8Array
}

const particles =
  "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde sei".split(
    " "
  )
const stems =
  "Arbeit Bau Bild Brief Dorf Fahr Feld Fluss Frag Garten Geld Haus Herz Jahr Kauf Kind Kraft Land Licht Mann Markt Meer Nacht Ort Rat Recht Sach Schul Spiel Stadt Stein Stimm Tag Tisch Tür Volk Wald Wasser Weg Welt Wind Wort Zahl Zeit Zug schön klein groß alt jung wahr gut lang still hell denk geh komm schreib".split(
    " "
  )
const endings = ["", "e", "en", "er", "es", "lich", "ung", "keit", "bar", "isch", "heit", "los", "schaft", "t", "te"]

const words: ReadonlyArray<string> = [
  ...particles,
  ...endings.flatMap((ending) => stems.map((stem) => stem + ending)),
  ...stems.flatMap((stem, i) =>
    stems.map((other, j) => stem + other.toLowerCase() + endings[(i * j) % endings.length]!)
  )
]

/** The few that are in every sentence, more seldom the rest. */
const word = (random: Random): string => {
  const share = random.below(1_000_000) / 1_000_000
  return words[Math.floor(words.length ** share) - 1]!
}

const sentence = (random: Random, length: number): string => {
  const said = Array.from({ length }, () => word(random) + (random.oneIn(9) ? "," : "")).join(" ")
  return `${said.charAt(0).toUpperCase()}${said.slice(1)}.`
}

const paragraph = (random: Random): string =>
  Array.from({ length: 3 + random.below(6) }, () => sentence(random, 6 + random.below(18))).join(" ")

/** Pieces until it is so many octets; the last code point is not cut. */
const file = (size: number, piece: (i: number) => string | Uint8Array): Buffer => {
  const pieces: Array<Buffer> = []
  for (let length = 0, i = 0; length < size; i++) {
    pieces.push(Buffer.from(piece(i)))
    length += pieces[i]!.length
  }
  return Buffer.concat(pieces, size)
}

const isContinuation = (octet: number): boolean => (octet & 0xc0) === 0x80

/** Text whose last code point is whole, however the file was cut: blanks stand where there was a part of one. */
const textFile = (size: number, piece: (i: number) => string): Buffer => {
  const bytes = file(size, piece)
  const whole = new TextDecoder().decode(bytes, { stream: true })
  return bytes.fill(" ", Buffer.byteLength(whole))
}

const json = (): Buffer => {
  const random = new Random(1)
  return textFile(194_056, (i) => {
    const user = word(random).toLowerCase()
    const tags = Array.from({ length: random.below(4) }, () => word(random))
    const record = {
      id: 1_000_000_007 * (i + 1),
      created_at: new Date(1_400_000_000_000 + i * 86_399_000 + random.below(60_000)).toISOString(),
      user: { id: random.uint32(), screen_name: `${user}${random.below(1_000)}`, followers_count: random.below(9_999) },
      text: sentence(random, 5 + random.below(10)),
      entities: { hashtags: tags, urls: [], user_mentions: [] },
      geo: random.oneIn(3) ? { lat: random.below(1_000_000) / 10_000, lon: random.below(1_000_000) / 10_000 } : null,
      favorited: random.oneIn(9),
      retweet_count: random.below(50)
    }
    return `${i === 0 ? "[" : ","}\n${JSON.stringify(record, undefined, 2)}`
  })
}

/** 512 by 512 points of grey: hills with grain, behind a palette. */
const bitmap = (): Buffer => {
  const random = new Random(2)
  const head = Buffer.alloc(1_078)
  head.write("BM")
  const fields = [263_222, 0, 1_078, 40, 512, 512, 0x80001, 0, 262_144, 2_834, 2_834, 256, 256]
  fields.forEach((field, i) => void head.writeUInt32LE(field, 2 + 4 * i))
  for (let grey = 0; grey < 256; grey++) head.fill(grey, 54 + 4 * grey, 57 + 4 * grey)
  const points = Uint8Array.from({ length: 512 * 512 }, (_, at) => {
    const [x, y] = [at % 512, at >> 9]
    const hill = 60 * Math.sin(x / 47) * Math.cos(y / 61) + 35 * Math.sin((x + 2 * y) / 23)
    return Math.floor(128 + hill + random.below(9) + random.below(9) - 8)
  })
  return Buffer.concat([head, points])
}

const prose = (): Buffer => {
  const random = new Random(3)
  return textFile(222_218, () => `${paragraph(random)}\r\n\r\n`)
}

const html = (): Buffer => {
  const random = new Random(4)
  return textFile(263_647, (i) => {
    if (i === 0)
      return '<!DOCTYPE html>\n<html lang="de">\n<head><meta charset="utf-8"><title>…</title></head>\n<body>\n'
    const name = word(random).toLowerCase()
    const cells = Array.from(
      { length: 6 },
      () => `      <td class="cell-${random.below(9)}">${random.below(5_000)}</td>`
    )
    return [
      `  <div class="article" id="${name}-${i}">`,
      `    <h2 class="title"><a href="/artikel/${name}-${random.below(99_999)}.html">${sentence(random, 4)}</a></h2>`,
      `    <p class="lead">${sentence(random, 10)} <em>${word(random)}</em> – ${sentence(random, 10)}</p>`,
      `    <table class="figures"><tr>\n${cells.join("\n")}\n    </tr></table>`,
      `  </div>\n`
    ].join("\n")
  })
}

/** Objects, most of them with streams that are compressed already. */
const pdf = (): Buffer => {
  const random = new Random(5)
  return file(1_042_328, (i) => {
    if (i === 0) return "%PDF-1.5\n"
    const plain = Array.from(
      { length: 40 },
      (_, line) => `BT /F1 11 Tf 72 ${720 - 12 * line} Td (${sentence(random, 12)}) Tj ET`
    )
    const text = Buffer.from(plain.join("\n"))
    const isPlain = random.oneIn(8)
    const stream = isPlain ? text : deflateRawSync(text)
    const filter = isPlain ? "" : " /Filter /FlateDecode"
    return Buffer.concat([
      Buffer.from(`${i} 0 obj\n<< /Type /XObject /Length ${stream.length}${filter} >>\nstream\n`),
      stream,
      Buffer.from("\nendstream\nendobj\n")
    ])
  })
}

/** Where each unit of a file begins, and behind the last where it ends. */
const unitsOf = (bytes: Uint8Array, type: DataSet["type"]): Uint32Array => {
  const starts: Array<number> = []
  for (let at = 0; at < bytes.length; at++) if (type === "binary" || !isContinuation(bytes[at]!)) starts.push(at)
  return Uint32Array.from([...starts, bytes.length])
}

const dataSet = (name: DataSet["name"], type: DataSet["type"], make: () => Uint8Array): DataSet => {
  let made: { readonly bytes: Uint8Array; readonly units: Uint32Array } | undefined
  // Made when first asked for: most runs have no use for all of them.
  const get = () => {
    if (made === undefined) {
      const bytes = make()
      made = { bytes, units: unitsOf(bytes, type) }
    }
    return made
  }
  return {
    name,
    type,
    get bytes() {
      return get().bytes
    },
    message: (n, length) => {
      const { bytes, units } = get()
      const count = units.length - 1
      const parts: Array<Uint8Array> = []
      for (let left = length, from = (n * length) % count; left > 0; from = 0) {
        const to = Math.min(from + left, count)
        parts.push(bytes.subarray(units[from], units[to]))
        left -= to - from
      }
      return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    }
  }
}

export const dataSets = {
  json: dataSet("JSON", "text", json),
  bitmap: dataSet("bitmap", "binary", bitmap),
  prose: dataSet("prose", "binary", prose),
  html: dataSet("HTML", "text", html),
  pdf: dataSet("PDF", "binary", pdf)
}
