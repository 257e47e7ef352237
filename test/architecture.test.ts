import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { assert, describe, it } from "vitest"

/** Who may import whom: edges import src/*.ts, that imports protocol/, and nothing points the other way. */

const root = fileURLToPath(new URL("..", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

interface Import {
  /** A file of src, as `protocol/Frame.ts`, or the specifier of something else. */
  readonly target: string
  readonly isType: boolean
}

interface Module {
  readonly file: string
  readonly room: string
  readonly lines: number
  readonly imports: ReadonlyArray<Import>
  /** What it hands on: the files that it exports from. */
  readonly reexports: ReadonlyArray<string>
}

/** Whether nothing of a declaration is left at run time. */
const isErased = (node: ts.ImportDeclaration | ts.ExportDeclaration): boolean => {
  const clause = ts.isImportDeclaration(node) ? node.importClause : node
  if (clause === undefined) return false
  if (clause.isTypeOnly) return true
  if (ts.isImportClause(clause) && clause.name !== undefined) return false
  const bindings = ts.isImportClause(clause) ? clause.namedBindings : clause.exportClause
  return (
    bindings !== undefined &&
    (ts.isNamedImports(bindings) || ts.isNamedExports(bindings)) &&
    bindings.elements.length > 0 &&
    bindings.elements.every(({ isTypeOnly }) => isTypeOnly)
  )
}

const parse = (file: string, text: string): Module => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest)
  const name = (specifier: string) =>
    specifier.startsWith(".")
      ? relative("/", resolve("/", dirname(file), specifier)).replace(/\.js$/, ".ts")
      : specifier
  const imports: Array<Import> = []
  const reexports: Array<string> = []
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      if (node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
        const target = name(node.moduleSpecifier.text)
        imports.push({ target, isType: isErased(node) })
        if (ts.isExportDeclaration(node)) reexports.push(target)
      }
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      const target = argument !== undefined && ts.isStringLiteral(argument) ? name(argument.text) : "(computed)"
      imports.push({ target, isType: false })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) {
        imports.push({ target: name(node.argument.literal.text), isType: true })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return {
    file,
    room: dirname(file) === "." ? "src" : dirname(file),
    lines: text.split("\n").length - 1,
    imports,
    reexports
  }
}

const modules: ReadonlyArray<Module> = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .sort()
  .map((file) => parse(file, readFileSync(join(root, "src", file), "utf8")))

const edges = ["node", "testing", "browser", "platform", "redis"]
const isPackage = (target: string) => !target.endsWith(".ts") && !target.startsWith("node:")
const roomOf = (target: string) => (target.endsWith(".ts") ? (target.includes("/") ? dirname(target) : "src") : target)

/** Every import that a rule does not allow, as `file imports target`. */
const offences = (isAllowed: (module: Module, target: string) => boolean): ReadonlyArray<string> =>
  modules.flatMap((module) =>
    module.imports
      .filter(({ target }) => !isAllowed(module, target))
      .map(({ target }) => `${module.file} imports ${target}`)
  )

const none: ReadonlyArray<string> = []

describe("the rooms of src", () => {
  it("are known, and there is something in each", () => {
    const rooms = new Set(modules.map(({ room }) => room))
    for (const room of ["src", "protocol", "node", "testing", "browser"]) assert.include([...rooms], room)
    assert.deepStrictEqual(
      [...rooms].filter((room) => !["src", "protocol", ...edges].includes(room)),
      none
    )
    assert.isAbove(modules.flatMap(({ imports }) => imports).length, 100)
  })

  it("protocol/ knows nothing but itself", () => {
    assert.deepStrictEqual(
      offences(({ room }, target) => room !== "protocol" || roomOf(target) === "protocol"),
      none
    )
  })

  it("src/*.ts knows protocol/, itself, modules of effect and @effect/platform by path, and the router's table", () => {
    const isModule = (target: string) => /^((effect|@effect\/platform)\/[A-Z]\w*|find-my-way-ts)$/.test(target)
    assert.deepStrictEqual(
      offences(
        ({ room }, target) => room !== "src" || ["src", "protocol"].includes(roomOf(target)) || isModule(target)
      ),
      none
    )
  })

  it("no file imports the barrel of effect or of its packages", () => {
    assert.deepStrictEqual(
      offences((_, target) => target !== "effect" && !/^@effect\/[\w-]+$/.test(target)),
      none
    )
  })

  it("node's modules are for src/node, and for edges that build on it", () => {
    const isFree = new Set(["node", "platform", "redis"])
    assert.deepStrictEqual(
      offences(({ room }, target) => isFree.has(room) || !target.startsWith("node:")),
      none
    )
  })

  it("edges do not know each other, except that platform/ may build on node/", () => {
    assert.deepStrictEqual(
      offences(({ room }, target) => {
        const other = roomOf(target)
        if (!edges.includes(other) || other === room) return true
        return room === "platform" && other === "node"
      }),
      none
    )
  })

  it("have no cycle of imports that are left at run time", () => {
    const graph = new Map(
      modules.map(({ file, imports }) => [
        file,
        imports.filter(({ isType, target }) => !isType && target.endsWith(".ts")).map(({ target }) => target)
      ])
    )
    const done = new Set<string>()
    const cycles: Array<string> = []
    const walk = (file: string, path: ReadonlyArray<string>): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "))
      if (done.has(file) || path.includes(file)) return
      for (const next of graph.get(file) ?? []) walk(next, [...path, file])
      done.add(file)
    }
    for (const file of graph.keys()) walk(file, [])
    assert.deepStrictEqual(cycles, none)
    const missing = [...graph].flatMap(([file, targets]) =>
      targets.filter((target) => !graph.has(target)).map((target) => `${file} imports ${target}`)
    )
    assert.deepStrictEqual(missing, none)
  })
})

describe("a file of src", () => {
  const indices = modules.filter(({ file }) => file.endsWith("index.ts"))
  const exported = new Set(indices.flatMap(({ reexports }) => reexports))
  const baseOf = (file: string) => file.replace(/^.*\//, "")

  it("is named in PascalCase only where an index exports it; in protocol/ that means: a noun of its own", () => {
    const hidden = modules.filter(
      ({ file, room }) => /^[A-Z]/.test(baseOf(file)) && room !== "protocol" && !exported.has(file)
    )
    assert.deepStrictEqual(
      hidden.map(({ file }) => file),
      none
    )
  })

  it("is named in camelCase only where no index exports it, but for a single function of its name", () => {
    const isFunction = (file: string) => {
      const text = readFileSync(join(root, "src", file), "utf8")
      return new RegExp(`^export const ${baseOf(file).replace(/\.ts$/, "")}\\b`, "m").test(text)
    }
    const shown = [...exported].filter((file) => /^[a-z]/.test(baseOf(file)) && !isFunction(file))
    assert.deepStrictEqual(shown, none)
  })

  it("has at most 400 lines", () => {
    const long = modules.filter(({ lines }) => lines > 400)
    assert.deepStrictEqual(
      long.map(({ file, lines }) => `${file}: ${lines}`),
      none
    )
  })
})

describe("a test", () => {
  it("shares a layer by `sharing`, since @effect/vitest's own changes the `it` of all files", () => {
    const files = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts")
    )
    const offenders = files.filter((file) =>
      /import \{[^}]*\blayer\b[^}]*\} from "@effect\/vitest"/.test(readFileSync(join(root, "test", file), "utf8"))
    )
    assert.deepStrictEqual(offenders, [join("support", "sharing.ts")])
  })
})

describe("package.json", () => {
  it("declares every package that is imported, be it for types, which users get too", () => {
    const declared = new Set([
      ...Object.keys(manifest.peerDependencies ?? {}),
      ...Object.keys(manifest.dependencies ?? {})
    ])
    const packageOf = (target: string) => target.split("/", target.startsWith("@") ? 2 : 1).join("/")
    const missing = modules.flatMap(({ file, imports }) =>
      imports
        .filter(({ target }) => isPackage(target) && !declared.has(packageOf(target)))
        .map(({ target }) => `${file} imports ${target}`)
    )
    assert.deepStrictEqual(missing, none)
  })

  it("exports the indices of src, their files of dist, and nothing else of it", () => {
    const expected = modules
      .filter(({ file }) => /(^|\/)index\.ts$/.test(file))
      .map(({ file }) => {
        const built = `./dist/${file.replace(/\.ts$/, "")}`
        const entry = file === "index.ts" ? "." : `./${dirname(file)}`
        return [entry, { types: `${built}.d.ts`, default: `${built}.js` }]
      })
    const { "./package.json": itself, ...exports } = manifest.exports
    assert.strictEqual(itself, "./package.json")
    assert.deepStrictEqual(exports, Object.fromEntries(expected))
  })
})
