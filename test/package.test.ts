import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { modeArguments } from "./support/mode.js"

/** What users get: the packed package in an empty project, which shows what the README shows. */

const root = fileURLToPath(new URL("..", import.meta.url))
const installed = join(root, "node_modules")

/** Runs a command, and says all that it said when it fails. */
const run = async (cwd: string, command: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_|TEST$)/.test(name)))
  try {
    return (await promisify(execFile)(command, args, { cwd, env })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error })
  }
}
const node = (cwd: string, ...args: ReadonlyArray<string>) => run(cwd, process.execPath, ...args)

const readme = await readFile(join(root, "README.md"), "utf8")

/** The first piece of TypeScript under a heading of the README. */
const snippet = (heading: string): string => {
  const [, section] = readme.split(`\n## ${heading}\n`)
  const code = section?.split("\n## ")[0]?.match(/^```ts\n(.*?)^```/ms)?.[1]
  if (code === undefined) throw new Error(`the README shows nothing under «${heading}»`)
  return code
}

/** The handler's test, as short as it is. */
const test = snippet("Test a handler")

/** The server's file without its last line: whoever imports the handler wants no server. */
const hello = snippet("A server").replace(/^Layer\.launch\(.*\n/m, "")

const program = `
import { Effect, Layer } from "effect"
import { WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"

const echo = (connection) => Effect.flatMap(connection.receive, connection.send)
const server = WebSocketServer.layer(echo).pipe(Layer.provide(NodeListener.layer({ port: 0 })))
const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

Effect.gen(function* () {
  const { address } = yield* WebSocketServer.WebSocketServer
  const connection = yield* WebSocketClient.connect(\`ws://localhost:\${address.port}\`)
  yield* connection.send("over a socket")
  console.log(yield* connection.receiveText)
}).pipe(Effect.scoped, Effect.provide(Layer.merge(server, client)), runMain)
`

/** Without the optional peer that speaks to SOCKS proxies. */
const withoutSocks = `
import { createServer } from "node:net"
import { Effect, Layer } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeProxy } from "effect-websockets/node"

const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1", () => {
  const proxy = NodeProxy.layer(\`socks5h://ada:secret@127.0.0.1:\${server.address().port}\`)
  const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer), Layer.provide(proxy))
  WebSocketClient.connect("ws://one.example").pipe(Effect.scoped, Effect.provide(client), Effect.flip, Effect.runPromise)
    .then((error) => console.log(error.message))
    .finally(() => server.close())
})
`

const tsconfig = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2022", "DOM", "DOM.Iterable"],
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ["node"],
    noEmit: true
  },
  include: ["*.ts"]
}

const build = ["package.json", "tsconfig.json", "tsconfig.build.json"]
const packed = ["LICENSE", "README.md", "CHANGELOG.md", "src"].filter((file) => existsSync(join(root, file)))

let folder: string
let project: string
let library: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "effect-websockets-"))
  // Packing builds: in a copy, since somebody else may build at the same time.
  const source = join(folder, "source")
  await mkdir(source)
  for (const file of [...build, ...packed]) await cp(join(root, file), join(source, file), { recursive: true })
  await symlink(installed, join(source, "node_modules"))
  await run(source, "npm", "pack", "--silent", "--pack-destination", folder)
  const tarball = (await readdir(folder)).find((file) => file.endsWith(".tgz"))
  if (tarball === undefined) throw new Error("npm pack has packed nothing")

  project = join(folder, "project")
  library = join(project, "node_modules/effect-websockets")
  await mkdir(library, { recursive: true })
  await run(folder, "tar", "-xzf", tarball, "-C", library, "--strip-components=1")
  // What it depends on, the peers, and what the project itself is made with; the library finds nothing else.
  for (const name of ["find-my-way-ts", "effect", "@effect/platform", "@effect/vitest", "vitest", "@types/node"]) {
    await mkdir(dirname(join(project, "node_modules", name)), { recursive: true })
    await symlink(join(installed, name), join(project, "node_modules", name))
  }
  const files = {
    "package.json": JSON.stringify({ type: "module", private: true }),
    "tsconfig.json": JSON.stringify(tsconfig),
    "hello.ts": hello,
    "hello.test.ts": test,
    "client.ts": snippet("A client"),
    "ask.ts": await readFile(join(root, "examples/ask.ts"), "utf8"),
    "requests.ts": `
      import { HttpServerResponse } from "@effect/platform"
      import { Context, Effect } from "effect"
      import { type Connection, WebSocketServer } from "effect-websockets"
      ${snippet("Requests")}`,
    "browser.ts": await readFile(join(root, "examples/hello-browser.ts"), "utf8"),
    "program.js": program,
    "without-socks.js": withoutSocks
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(project, name), content)
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe("the packed package", () => {
  it("has what package.json exports, and nothing that only we need", async () => {
    assert.sameMembers(await readdir(library), [...packed, "dist", "package.json"])
    const manifest = JSON.parse(await readFile(join(library, "package.json"), "utf8"))
    const targets = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === "object" && entry !== null ? Object.values(entry) : [entry]
    )
    for (const target of targets) assert.isNotEmpty(await readFile(join(library, String(target)), "utf8"))
  })

  it("shows debuggers the source that it has", async () => {
    const map = JSON.parse(await readFile(join(library, "dist/node/NodeListener.js.map"), "utf8"))
    const [source] = map.sources
    assert.isNotEmpty(await readFile(join(library, "dist/node", source), "utf8"))
  })

  it("type-checks in a strict project, declarations of libraries included", async () => {
    await node(project, join(installed, "typescript/bin/tsc"), "--noEmit")
  }, 60_000)

  it("runs the README's test of a handler", async () => {
    const output = await node(project, join(installed, "vitest/vitest.mjs"), "run", "--reporter=json")
    const { numPassedTests, numTotalTests } = JSON.parse(output)
    assert.deepStrictEqual({ numPassedTests, numTotalTests }, { numPassedTests: 1, numTotalTests: 1 })
  })

  it("talks over a socket in plain node", async () => {
    // Beside what the server logs, with its time in brackets.
    assert.match(await node(project, ...modeArguments, "program.js"), /^over a socket$/m)
  })

  it("C5: says which package is missing where a SOCKS proxy is used, and needs it for nothing else", async () => {
    assert.match(
      await node(project, ...modeArguments, "without-socks.js"),
      /^cannot connect to one.example:80 through the proxy socks5h:\/\/127.0.0.1:\d+: the package socks is needed for it. Install it: npm install socks@2\n$/
    )
  })

  it("keeps its other files to itself", async () => {
    const code = `import("effect-websockets/dist/inbox.js").catch(({ code }) => console.log(code))`
    assert.strictEqual(await node(project, "-e", code), "ERR_PACKAGE_PATH_NOT_EXPORTED\n")
  })
})
