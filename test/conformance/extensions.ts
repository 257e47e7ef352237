/** What is said about permessage-deflate in an opening handshake, both sides of it. RFC 7692 §7.1. */

/** How one side compresses its messages. */
export interface Side {
  readonly noContextTakeover: boolean
  readonly windowBits: number
}

/** What is asked of the testee's own compressor. */
export type Demand = Partial<Side>

export interface Agreement {
  /** The harness's messages. */
  readonly own: Side
  /** The testee's messages. */
  readonly peer: Side
}

type Role = "client" | "server"

interface Extension {
  readonly name: string
  /** In order, those that are there twice included. */
  readonly parameters: ReadonlyArray<readonly [name: string, value: string | undefined]>
}

const NAME = "permessage-deflate"
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const quoted = '"(?:[^"\\\\]|\\\\.)*"'
const parameter = `[ \\t]*;[ \\t]*${token}(?:[ \\t]*=[ \\t]*(?:${token}|${quoted}))?`
const isParameter = new RegExp(`;[ \\t]*(${token})(?:[ \\t]*=[ \\t]*(?:(${token})|(${quoted})))?`, "g")

const unquoted = (value: string | undefined): string | undefined => value?.slice(1, -1).replace(/\\(.)/g, "$1")

/** The list of a `Sec-WebSocket-Extensions`; throws where it is none. RFC 6455 §9.1. */
const parse = (header: string): ReadonlyArray<Extension> => {
  const item = new RegExp(`[ \\t]*(${token})((?:${parameter})*)[ \\t]*(,|$)`, "y")
  const extensions: Array<Extension> = []
  for (let isMore = true; isMore; ) {
    const found = item.exec(header)
    if (found === null) throw new Error(`extensions that are no list: ${header}`)
    const [, name = "", parameters = "", separator] = found
    extensions.push({
      name,
      parameters: [...parameters.matchAll(isParameter)].map(
        ([, key = "", plain, inQuotes]) => [key, plain ?? unquoted(inQuotes)] as const
      )
    })
    isMore = separator === ","
  }
  return extensions
}

/** Names that may be there, each at most once, with values as the RFC has them. */
interface Parameters {
  readonly server: Demand
  readonly client: Demand
  /** An offer's `client_max_window_bits`, with or without a value: the client can be told. */
  readonly canLimitClient: boolean
}

/** Throws where a parameter is unknown, repeated, or has a value that is not its own. */
const read = ({ name, parameters }: Extension, isOffer: boolean): Parameters => {
  if (name !== NAME) throw new Error(`the extension ${name}, which is not known`)
  const sides: Record<Role, { noContextTakeover?: boolean; windowBits?: number }> = { server: {}, client: {} }
  const seen = new Set<string>()
  for (const [key, value] of parameters) {
    const [, role, what] = /^(server|client)_(no_context_takeover|max_window_bits)$/.exec(key) ?? []
    if (role !== "server" && role !== "client") throw new Error(`the parameter ${key}, which is not known`)
    if (seen.has(key)) throw new Error(`the parameter ${key}, twice`)
    seen.add(key)
    if (what === "no_context_takeover") {
      if (value !== undefined) throw new Error(`a value for ${key}`)
      sides[role].noContextTakeover = true
    } else if (value !== undefined || role === "server" || !isOffer) {
      // §7.1.2: 8 to 15, without leading zeros; a client may offer to be limited without saying to what.
      if (value === undefined || !/^([89]|1[0-5])$/.test(value)) throw new Error(`${value ?? "no value"} for ${key}`)
      sides[role].windowBits = Number(value)
    }
  }
  return { ...sides, canLimitClient: seen.has("client_max_window_bits") }
}

/** What a side does that is asked no more than this. */
export const sideOf = ({ noContextTakeover = false, windowBits = 15 }: Demand): Side => ({
  noContextTakeover,
  windowBits
})

const format = (role: Role, { noContextTakeover = false, windowBits }: Demand): string =>
  (noContextTakeover ? `; ${role}_no_context_takeover` : "") +
  (windowBits === undefined ? "" : `; ${role}_max_window_bits=${windowBits}`)

/** What a client offers that asks this of the server, the first choice first. */
export const offer = (demands: ReadonlyArray<Demand>): string =>
  demands
    .map((demand) => `${NAME}${format("server", demand)}; client_no_context_takeover; client_max_window_bits`)
    .join(", ")

/** Whether a side does what is asked of it. */
const honours = (side: Demand, { noContextTakeover = false, windowBits }: Demand): boolean =>
  (!noContextTakeover || side.noContextTakeover === true) &&
  (windowBits === undefined || (side.windowBits !== undefined && side.windowBits <= windowBits))

/** What a server agreed to, nothing where it declined; throws where its answer is no answer to the offer. */
export const agreed = (header: string | undefined, demands: ReadonlyArray<Demand>): Agreement | undefined => {
  if (header === undefined) return undefined
  const extensions = parse(header)
  if (extensions.length !== 1) throw new Error(`not one extension but ${header}`)
  const { server, client } = read(extensions[0]!, false)
  if (!demands.some((demand) => honours(server, demand))) throw new Error(`less than was asked: ${header}`)
  return { own: sideOf(client), peer: sideOf(server) }
}

/** What a server says to an offer, and what that means. */
export interface Answer {
  readonly header: string
  readonly agreement: Agreement
}

/** The first that can be had of what is demanded of the client; nothing where none can. Throws where an offer is none. */
export const answer = (header: string | undefined, demands: ReadonlyArray<Demand>): Answer | undefined => {
  const offers = header === undefined ? [] : parse(header).filter(({ name }) => name === NAME)
  const first = offers.map((extension) => read(extension, true))[0]
  if (first === undefined) return undefined
  const { server, client, canLimitClient } = first
  const demand = demands.find(
    ({ windowBits }) => windowBits === undefined || (canLimitClient && windowBits <= (client.windowBits ?? 15))
  )
  if (demand === undefined) return undefined
  return {
    header: NAME + format("server", server) + format("client", demand),
    agreement: { own: sideOf(server), peer: sideOf(demand) }
  }
}
