/**
 * The grammar of header values, read from left to right in linear time.
 *
 * @see RFC 9110 §5.6, RFC 6455 §9.1
 */

/** Headers as they stand on the wire: in order, with repeats, names in any case. */
export type HeaderList = ReadonlyArray<readonly [name: string, value: string]>

/** All values of a header, in order. */
export const all = (headers: HeaderList, name: string): ReadonlyArray<string> => {
  let values: Array<string> | undefined
  for (const header of headers) {
    if (header[0].length !== name.length || header[0].toLowerCase() !== name) continue
    if (values === undefined) values = [header[1]]
    else values.push(header[1])
  }
  return values ?? none
}

const none: ReadonlyArray<never> = []

/** The value of a header, undefined where there is none or more than one. */
export const only = (headers: HeaderList, name: string): string | undefined => {
  const values = all(headers, name)
  return values.length === 1 ? values[0] : undefined
}

const tokenCharacters = new Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

/** Whether a text is a token: the form of names of headers, methods, subprotocols, extensions. RFC 9110 §5.6.2. */
export const isToken = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    if (!tokenCharacters.has(text[i]!)) return false
  }
  return text.length > 0
}

/** Whether all are tokens, and none stands twice: what names of subprotocols have to be. RFC 6455 §4.1 (10). */
export const areTokens = (names: ReadonlyArray<string>): boolean =>
  names.every(isToken) && new Set(names).size === names.length

/** Whether a text may be a header's value: no line breaks, no NUL, no other control characters, one byte a character. RFC 9110 §5.5. */
export const isValue = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if ((unit < 0x20 && unit !== 0x09) || unit === 0x7f || unit > 0xff) return false
  }
  return true
}

const isBlank = (unit: number): boolean => unit === 0x20 || unit === 0x09

/** Without the blanks around it; `trim` would take other white space too. */
const trimBlanks = (text: string): string => {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

/** The members of a comma-separated list over all lines of a header; empty members are no members. RFC 9110 §5.6.1. */
export const list = (values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values.flatMap((value) => value.split(",").map(trimBlanks)).filter((member) => member !== "")

/** Whether a list has a member, whatever its case. */
export const listIncludes = (values: ReadonlyArray<string>, member: string): boolean =>
  // Mostly it is the only one.
  values.some((value) => value.length === member.length && value.toLowerCase() === member) ||
  list(values).some((item) => item.toLowerCase() === member)

/** A parameter of an extension: `name` or `name=value`. RFC 6455 §9.1. */
export interface Parameter {
  readonly name: string
  readonly value: string | undefined
}

interface Reader {
  readonly text: string
  at: number
}

const skipBlanks = (reader: Reader): void => {
  while (reader.at < reader.text.length && isBlank(reader.text.charCodeAt(reader.at))) reader.at++
}

const takeToken = (reader: Reader): string | undefined => {
  const start = reader.at
  while (reader.at < reader.text.length && tokenCharacters.has(reader.text[reader.at]!)) reader.at++
  return reader.at > start ? reader.text.slice(start, reader.at) : undefined
}

/** The content of a quoted string; §9.1: once unquoted it has to be a token. */
const takeQuoted = (reader: Reader): string | undefined => {
  let content = ""
  reader.at++
  while (reader.at < reader.text.length) {
    const character = reader.text[reader.at++]!
    if (character === '"') return isToken(content) ? content : undefined
    content += character === "\\" ? (reader.text[reader.at++] ?? "") : character
  }
  return undefined
}

const takeIf = (reader: Reader, character: string): boolean => {
  skipBlanks(reader)
  if (reader.text[reader.at] !== character) return false
  reader.at++
  skipBlanks(reader)
  return true
}

const takeParameter = (reader: Reader): Parameter | undefined => {
  const name = takeToken(reader)
  if (name === undefined) return undefined
  if (!takeIf(reader, "=")) return { name, value: undefined }
  const value = reader.text[reader.at] === '"' ? takeQuoted(reader) : takeToken(reader)
  return value === undefined ? undefined : { name, value }
}

const takeEntry = (reader: Reader): { name: string; parameters: Array<Parameter> } | undefined => {
  const name = takeToken(reader)
  if (name === undefined) return undefined
  const parameters: Array<Parameter> = []
  while (takeIf(reader, ";")) {
    const parameter = takeParameter(reader)
    if (parameter === undefined) return undefined
    parameters.push(parameter)
  }
  return { name, parameters }
}

/** Reads `Sec-WebSocket-Extensions`, all lines of it as one list; undefined where the grammar is broken. RFC 6455 §9.1. */
export const parseExtensions = (
  values: ReadonlyArray<string>
): ReadonlyArray<{ readonly name: string; readonly parameters: ReadonlyArray<Parameter> }> | undefined => {
  const entries: Array<{ name: string; parameters: Array<Parameter> }> = []
  const reader: Reader = { text: values.join(","), at: 0 }
  skipBlanks(reader)
  while (reader.at < reader.text.length) {
    if (!takeIf(reader, ",")) {
      const entry = takeEntry(reader)
      if (entry === undefined) return undefined
      entries.push(entry)
      if (reader.at < reader.text.length && !takeIf(reader, ",")) return undefined
    }
  }
  return entries
}

/** Writes one entry of `Sec-WebSocket-Extensions`. */
export const formatExtension = (name: string, parameters: ReadonlyArray<Parameter>): string =>
  [name, ...parameters.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`))].join("; ")

/** Reads `Sec-WebSocket-Protocol`; undefined where a member is no token or stands twice. RFC 6455 §4.1 (10). */
export const parseSubprotocols = (values: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
  const names = list(values)
  return areTokens(names) ? names : undefined
}
