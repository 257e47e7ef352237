import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Where the certificate of this run is, for the processes that it starts. */
const variable = "BENCH_CERTIFICATE"

/** Makes a certificate for localhost, for the servers and the load generator of this run. */
export const writeCertificate = async (folder: string): Promise<void> => {
  // Not at the top, as servers read this module too and would keep it in memory.
  const { generate } = await import("selfsigned")
  const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], {
    keyType: "ec",
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }]
  })
  writeFileSync(join(folder, "cert.pem"), cert)
  writeFileSync(join(folder, "key.pem"), key)
  process.env[variable] = folder
}

export const certificateFiles = (): { readonly cert: string; readonly key: string } => {
  const folder = process.env[variable] ?? "."
  return { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") }
}

export const readCertificate = (): { readonly cert: string; readonly key: string } => {
  const { cert, key } = certificateFiles()
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
}
