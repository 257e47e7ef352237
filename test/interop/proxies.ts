import { spawnSync } from "node:child_process"
import { Effect, type Scope } from "effect"
import { makeSigner } from "../support/certificates.js"
import { daemon } from "../support/daemon.js"
import { find, type Requirement } from "../support/requirements.js"

/** Real proxies, and what clients need to know of them. */

export interface RunningProxy {
  readonly port: number
  /** An authority to trust, where it is reached over TLS. */
  readonly ca?: string
}

export interface RealProxy {
  readonly name: string
  readonly needs: ReadonlyArray<Requirement>
  /** The schemes by which it is used. */
  readonly schemes: ReadonlyArray<string>
  readonly start: Effect.Effect<RunningProxy, never, Scope.Scope>
  /** Whether it knows nobody but ada with the password hunter2. */
  readonly knowsAda: boolean
}

const tinyproxy = (user: string) =>
  daemon("tinyproxy", {
    args: (folder) => ["-d", "-c", `${folder}/tinyproxy.conf`],
    files: (_, port) => ({
      "tinyproxy.conf": `Port ${port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\nLogLevel Error\n${user}`
    })
  })

const squidLines = (port: number): ReadonlyArray<string> => [
  `http_port 127.0.0.1:${port}`,
  "pid_filename none",
  "access_log none",
  "cache_log /dev/null",
  "cache_store_log none",
  "cache deny all",
  "coredump_dir none",
  "netdb_filename none",
  "visible_hostname test",
  "shutdown_lifetime 0 seconds"
]

const squid = (rules: (folder: string) => ReadonlyArray<string>, others: () => Readonly<Record<string, string>>) =>
  daemon("squid", {
    args: (folder) => ["-N", "-f", `${folder}/squid.conf`],
    files: (folder, port) => ({ "squid.conf": `${[...squidLines(port), ...rules(folder)].join("\n")}\n`, ...others() })
  })

const squidForAda = squid(
  (folder) => [
    `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${folder}/passwd`,
    "acl known proxy_auth REQUIRED",
    "http_access allow known",
    "http_access deny all"
  ],
  () => {
    const { stdout } = spawnSync(find("openssl") ?? "openssl", ["passwd", "-apr1", "hunter2"], { encoding: "utf8" })
    return { passwd: `ada:${stdout}` }
  }
)

/** TLS in front of a proxy that speaks none itself. */
const stunnel = Effect.gen(function* () {
  const behind = yield* tinyproxy("")
  const { ca, sign } = yield* Effect.promise(() => makeSigner("Proxy CA"))
  const { key, cert } = yield* Effect.promise(() => sign({ names: ["127.0.0.1"] }))
  const { port } = yield* daemon("stunnel", {
    args: (folder) => [`${folder}/stunnel.conf`],
    files: (folder, port) => ({
      "pair.pem": key + cert,
      "stunnel.conf": `foreground = yes\npid =\n[proxy]\naccept = 127.0.0.1:${port}\nconnect = 127.0.0.1:${behind.port}\ncert = ${folder}/pair.pem\n`
    })
  })
  return { port, ca }
})

const microsocks = (...user: ReadonlyArray<string>) =>
  daemon("microsocks", { args: (_, port) => ["-i", "127.0.0.1", "-p", String(port), ...user] })

const dante = daemon("danted", {
  args: (folder) => ["-f", `${folder}/danted.conf`, "-N", "1"],
  files: (_, port) => ({
    "danted.conf": `internal: 127.0.0.1 port = ${port}
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.notprivileged: nobody
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
`
  })
})

export const realProxies: ReadonlyArray<RealProxy> = [
  { name: "tinyproxy", needs: ["tinyproxy"], schemes: ["http"], start: tinyproxy(""), knowsAda: false },
  {
    name: "tinyproxy with a user",
    needs: ["tinyproxy"],
    schemes: ["http"],
    start: tinyproxy("BasicAuth ada hunter2\n"),
    knowsAda: true
  },
  {
    name: "squid",
    needs: ["squid"],
    schemes: ["http"],
    start: squid(
      () => ["http_access allow all"],
      () => ({})
    ),
    knowsAda: false
  },
  { name: "squid with a user", needs: ["squid", "openssl"], schemes: ["http"], start: squidForAda, knowsAda: true },
  {
    name: "stunnel before tinyproxy",
    needs: ["stunnel", "tinyproxy"],
    schemes: ["https"],
    start: stunnel,
    knowsAda: false
  },
  { name: "microsocks", needs: ["microsocks"], schemes: ["socks5", "socks5h"], start: microsocks(), knowsAda: false },
  {
    name: "microsocks with a user",
    needs: ["microsocks"],
    schemes: ["socks5", "socks5h"],
    start: microsocks("-u", "ada", "-P", "hunter2"),
    knowsAda: true
  },
  { name: "dante", needs: ["danted"], schemes: ["socks4", "socks5", "socks5h"], start: dante, knowsAda: false }
]
