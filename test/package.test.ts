import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { WebSocket } from "ws"
import { modeArguments } from "./support/mode.js"
import { snippets } from "./support/readme.js"

/** What users get: the packed package in an empty project, which shows what the README shows. */

const root = fileURLToPath(new URL("..", import.meta.url))
const installed = join(root, "node_modules")

const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_|TEST$)/.test(name)))

/** Runs a command, and says all that it said when it fails. */
const run = async (cwd: string, command: string, ...args: ReadonlyArray<string>): Promise<string> => {
  try {
    return (await promisify(execFile)(command, args, { cwd, env })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error })
  }
}
const node = (cwd: string, ...args: ReadonlyArray<string>) => run(cwd, process.execPath, ...args)

/** The first piece of TypeScript under a heading of the README. */
const snippet = (heading: string): string => {
  const first = snippets.find((snippet) => snippet.heading === heading)
  if (first === undefined) throw new Error(`the README shows nothing under «${heading}»`)
  return first.code
}

/** The server's file without its last line: whoever imports the handler wants no server. */
const hello = snippet("A server").replace(/^Layer\.launch\(.*\n/m, "")

/**
 * The snippets that are part of no file, as the modules that they are: whole, with their imports. What they import by
 * `./` is another file of the project. Those that are tests are run too.
 */
const modules = Object.fromEntries(
  snippets
    .filter(({ file }) => file === undefined)
    .map(({ code }, index) => [`readme-${index + 1}${code.includes("@effect/vitest") ? ".test" : ""}.ts`, code])
)

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
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    moduleDetection: "force",
    skipLibCheck: false,
    types: ["node"],
    noEmit: true
  },
  include: ["*.ts", "stranger/*.ts"]
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
    ...modules,
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
  await cp(join(root, "test/stranger"), join(project, "stranger"), { recursive: true })
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

  it("runs the README's test of a handler, and the chat's tests", async () => {
    const output = await node(project, join(installed, "vitest/vitest.mjs"), "run", "--reporter=json")
    const { numPassedTests, numTotalTests, testResults } = JSON.parse(output)
    const files: ReadonlyArray<string> = testResults.map(({ name }: { readonly name: string }) => basename(name))
    assert.sameMembers(
      [...files],
      [...Object.keys(modules).filter((name) => name.endsWith(".test.ts")), "chat.test.ts"]
    )
    assert.strictEqual(numPassedTests, numTotalTests)
  })

  it("runs the chat on a port until it is told to stop", async () => {
    const tsx = pathToFileURL(join(installed, "tsx/dist/loader.mjs")).href
    const args = [...modeArguments, "--import", tsx, "stranger/main.ts"]
    const chat = spawn(process.execPath, args, { cwd: project, env: { ...env, PORT: "0" }, timeout: 30_000 })
    const exit = once(chat, "exit")
    const port = await new Promise<string>((resolve, reject) => {
      let said = ""
      const hear = (text: Buffer) => {
        said += text
        const [, port] = said.match(/the server is listening on .*:(\d+)\n/) ?? []
        if (port !== undefined) resolve(port)
      }
      chat.stdout.on("data", hear)
      chat.stderr.on("data", hear)
      chat.on("exit", () => reject(new Error(said)))
    })
    const ada = new WebSocket(`ws://localhost:${port}/rooms/lobby`)
    await once(ada, "open")
    ada.send(JSON.stringify({ type: "join", name: "Ada" }))
    const [joined] = await once(ada, "message")
    assert.deepStrictEqual(JSON.parse(String(joined)), { type: "joined", name: "Ada" })
    chat.kill("SIGTERM")
    assert.strictEqual((await once(ada, "close"))[0], 1001)
    assert.deepStrictEqual(await exit, [0, null])
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
