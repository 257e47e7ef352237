import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

/** This checkout; another one, of the commit before, can be measured beside it. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** A script of a checkout's `bench` as plain JavaScript. */
export const built = (script: string, checkout = root): string => join(checkout, "bench", "dist", `${script}.js`)

/**
 * Turns this `bench` into JavaScript, in a checkout whose library is to be measured, so that servers and load generator
 * run as users' programs do. Under tsx each named closure is defined through a helper (esbuild's keepNames), which would
 * be measured along. Another checkout is measured by these programs too, not by its own.
 */
export const buildBench = (checkout = root): void => {
  const here = join(root, "bench")
  const output = join(checkout, "bench", "dist")
  rmSync(output, { recursive: true, force: true })
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  for (const folder of [".", "load", "servers", "clients"]) {
    mkdirSync(join(output, folder), { recursive: true })
    for (const file of readdirSync(join(here, folder)).filter((name) => name.endsWith(".ts"))) {
      const { outputText } = ts.transpileModule(readFileSync(join(here, folder, file), "utf8"), { compilerOptions })
      writeFileSync(join(output, folder, file.replace(/\.ts$/, ".js")), outputText)
    }
  }
}

/** What is published is what is measured: `effect-websockets` means this package's own `dist`. */
export const buildLibrary = (checkout = root): void => {
  try {
    execFileSync("npm", ["run", "build", "--silent"], { cwd: checkout, stdio: ["ignore", "pipe", "pipe"] })
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout).trim() : String(error)
    throw new Error(`the library can't be built (npm run build):\n${said}`)
  }
}
