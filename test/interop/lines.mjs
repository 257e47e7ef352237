import process from "node:process"
import { createInterface } from "node:readline"

/** Runs commands that come as lines of JSON on stdin and answers on stdout; ends with stdin. */
export const serve = ({ run }) => {
  const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const lines = createInterface({ input: process.stdin })
  lines.on("line", async (line) => {
    const command = JSON.parse(line)
    try {
      answer({ call: command.call, value: (await run[command.run](command)) ?? null })
    } catch (error) {
      answer({ call: command.call, error: String(error) })
    }
  })
  lines.on("close", () => process.exit())
}

/** What the tests' authority signed, for servers; its own certificate, for clients. */
export const { INTEROP_CA: ca, INTEROP_CERT: cert, INTEROP_KEY: key } = process.env

/** Of what a client offers, what these servers speak. */
export const choose = (offered) =>
  (offered ?? "")
    .split(",")
    .map((name) => name.trim())
    .find((name) => ["superchat", "chat"].includes(name))
