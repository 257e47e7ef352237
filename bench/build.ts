import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const here = dirname(fileURLToPath(import.meta.url))
const output = join(here, "dist")

/** A script of this folder as plain JavaScript. */
export const built = (script: string): string => join(output, `${script}.js`)

/**
 * Turns this folder into JavaScript, so that servers and load generator run as users' programs do. Under tsx each
 * named closure is defined through a helper (esbuild's keepNames), which would be measured along.
 */
export const buildBench = (): void => {
  rmSync(output, { recursive: true, force: true })
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  for (const folder of [".", "servers"]) {
    mkdirSync(join(output, folder), { recursive: true })
    for (const file of readdirSync(join(here, folder)).filter((name) => name.endsWith(".ts"))) {
      const { outputText } = ts.transpileModule(readFileSync(join(here, folder, file), "utf8"), { compilerOptions })
      writeFileSync(join(output, folder, file.replace(/\.ts$/, ".js")), outputText)
    }
  }
}

/** What is published is what is measured: `effect-websockets` means this package's own `dist`. */
export const buildLibrary = (): void => {
  try {
    execFileSync("npm", ["run", "build", "--silent"], { cwd: dirname(here), stdio: ["ignore", "pipe", "pipe"] })
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout).trim() : String(error)
    throw new Error(`the library can't be built (npm run build):\n${said}`)
  }
}
