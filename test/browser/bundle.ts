import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { build } from "esbuild"

/** What a bundler makes of a program for browsers. */

export interface Bundle {
  readonly code: string
  /** The files that something is left of, with the bytes that it takes. */
  readonly files: ReadonlyMap<string, number>
  /** What the bundle would load when it runs. */
  readonly imports: ReadonlyArray<string>
}

const root = fileURLToPath(new URL("../..", import.meta.url))

const bundled = async (entry: string): Promise<Bundle> => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    platform: "browser",
    format: "esm",
    target: "es2022",
    write: false,
    metafile: true,
    logLevel: "silent"
  })
  const [output] = Object.values(metafile.outputs)
  const [file] = outputFiles
  if (output === undefined || file === undefined) throw new Error("esbuild has made nothing")
  return {
    code: file.text,
    files: new Map(Object.entries(output.inputs).map(([name, { bytesInOutput }]) => [name, bytesInOutput])),
    imports: output.imports.map(({ path }) => path)
  }
}

/** Bundles a file of the repository; what cannot be found, as a module of Node's, is a defect. */
export const bundle = (entry: string): Effect.Effect<Bundle> => Effect.promise(() => bundled(entry))

export const program = "test/browser/program.ts"
