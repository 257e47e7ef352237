import type { Effect, Scope } from "effect"
import type { Pair } from "../support/certificates.js"
import { type Daemon, daemon } from "../support/daemon.js"
import type { Requirement } from "../support/requirements.js"

/** Reverse proxies: what clients connect to, with a server of ours behind them. */

export interface Frontend {
  readonly name: Requirement & ("nginx" | "haproxy")
  /** Starts it before a server of this machine; with a pair clients speak TLS to it, which ends there. */
  readonly start: (server: number, pair: Pair | undefined) => Effect.Effect<Daemon, never, Scope.Scope>
  /** What our server sees of a header X-Forwarded-For with which the client came. */
  readonly forwardedFor: (value: string) => ReadonlyArray<string>
}

const nginx: Frontend = {
  name: "nginx",
  start: (server, pair) =>
    daemon("nginx", {
      args: (folder) => ["-e", "stderr", "-p", folder, "-c", `${folder}/nginx.conf`],
      files: (folder, port) => ({
        ...pair,
        "nginx.conf": `daemon off;
master_process off;
pid ${folder}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  server {
    listen 127.0.0.1:${port}${pair === undefined ? "" : ` ssl; ssl_certificate ${folder}/cert; ssl_certificate_key ${folder}/key`};
    location / {
      proxy_pass http://127.0.0.1:${server};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
`
      })
    }),
  forwardedFor: (value) => [`${value}, 127.0.0.1`]
}

const haproxy: Frontend = {
  name: "haproxy",
  start: (server, pair) =>
    daemon("haproxy", {
      args: (folder) => ["-db", "-q", "-f", `${folder}/haproxy.cfg`],
      files: (folder, port) => ({
        "pair.pem": `${pair?.key}${pair?.cert}`,
        "haproxy.cfg": `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 60s
  option forwardfor
frontend front
  bind 127.0.0.1:${port}${pair === undefined ? "" : ` ssl crt ${folder}/pair.pem`}
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
  default_backend ours
backend ours
  server ours 127.0.0.1:${server}
`
      })
    }),
  forwardedFor: (value) => [value, "127.0.0.1"]
}

export const frontends: ReadonlyArray<Frontend> = [nginx, haproxy]
