import { readFileSync } from "node:fs"
import { join } from "node:path"
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

/** Of what the tests' authority made: `ca`, its own certificate, for clients; `cert` and `key` for servers. */
export const pem = (name) => readFileSync(join(process.env.INTEROP_TLS, `${name}.pem`), "utf8")

/** Of what a client offers, what these servers speak. */
export const choose = (offered) =>
  (offered ?? "")
    .split(",")
    .map((name) => name.trim())
    .find((name) => ["superchat", "chat"].includes(name))
