import { isIP } from "node:net"
import { generate } from "selfsigned"

/** Certificates that an authority of the test's own has signed. */

export interface Pair {
  readonly key: string
  readonly cert: string
}

export interface SignOptions {
  /** Names and addresses, at least one. */
  readonly names: readonly [string, ...ReadonlyArray<string>]
  /** Whether it is a client's; a server's unless told otherwise. */
  readonly isClient?: boolean
  readonly from?: Date
  readonly until?: Date
}

export interface Signer {
  /** Its certificate. */
  readonly ca: string
  readonly sign: (options: SignOptions) => Promise<Pair>
}

const common = { keyType: "ec", algorithm: "sha256" } as const

export const makeSigner = async (name: string): Promise<Signer> => {
  const issuer = await generate([{ name: "commonName", value: name }], {
    ...common,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true }
    ]
  })
  const sign = async ({ names, isClient = false, from, until }: SignOptions): Promise<Pair> => {
    const altNames = names.map((name) =>
      isIP(name) === 0 ? ({ type: 2, value: name } as const) : ({ type: 7, ip: name } as const)
    )
    const made = await generate([{ name: "commonName", value: names[0] }], {
      ...common,
      ca: { key: issuer.private, cert: issuer.cert },
      ...(from === undefined ? {} : { notBeforeDate: from }),
      ...(until === undefined ? {} : { notAfterDate: until }),
      extensions: [
        { name: "basicConstraints", cA: false },
        { name: "keyUsage", digitalSignature: true, critical: true },
        { name: "extKeyUsage", serverAuth: !isClient, clientAuth: isClient },
        { name: "subjectAltName", altNames }
      ]
    })
    return { key: made.private, cert: made.cert }
  }
  return { ca: issuer.cert, sign }
}
