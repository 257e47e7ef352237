/**
 * What a peer that has the WebSocket API does when a test tells it to. It runs
 * in Node, Deno, Bun and pages; `python.py` takes the same commands.
 */

const decode = (content) =>
  typeof content === "string" ? content : Uint8Array.from(atob(content.base64), (char) => char.charCodeAt(0))

const encode = (data) => {
  if (typeof data === "string") return data
  const bytes = new Uint8Array(data)
  let binary = ""
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return { base64: btoa(binary) }
}

const deferred = () => {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

/** One WebSocket, or whatever has its handlers and methods. */
class Session {
  received = []
  waiting = undefined
  closed = deferred()

  constructor(socket, subprotocol) {
    this.socket = socket
    this.subprotocol = subprotocol
    socket.binaryType = "arraybuffer"
    socket.onmessage = ({ data }) => {
      this.received.push(encode(data))
      this.waiting?.()
    }
    socket.onclose = ({ code, reason }) => {
      this.closed.resolve({ code, reason })
      this.waiting?.()
    }
  }

  async receive(count) {
    let isOver = false
    this.closed.promise.then(() => {
      isOver = true
    })
    while (this.received.length < count) {
      if (isOver) throw new Error(`closed after ${this.received.length} messages of ${count}`)
      await new Promise((resolve) => {
        this.waiting = resolve
      })
    }
    return this.received.splice(0, count)
  }
}

/**
 * The commands.
 *
 * @param make opens a WebSocket as a client
 * @param ping sends a ping and waits for its pong
 * @param listen starts servers and says their ports
 */
export const commands = ({ make, ping, listen }) => {
  const sessions = new Map()
  const session = (id) => {
    if (!sessions.has(id)) sessions.set(id, deferred())
    return sessions.get(id)
  }
  const get = ({ id }) => session(id).promise

  return {
    /** A server's connection, whose URL has its id and what to say at once, and what it chose of the subprotocols. */
    accepted: ({ pathname, searchParams }, socket, subprotocol = "") => {
      if (searchParams.has("greeting")) socket.send(searchParams.get("greeting"))
      session(pathname.slice(1)).resolve(new Session(socket, subprotocol))
    },

    run: {
      listen: () => listen(),
      accept: async (command) => ({ subprotocol: (await get(command)).subprotocol }),
      open: (command) => {
        const socket = make(command)
        return new Promise((resolve) => {
          socket.onopen = () => {
            session(command.id).resolve(new Session(socket, socket.protocol))
            resolve({ subprotocol: socket.protocol })
          }
          socket.onerror = () => resolve({ refused: true })
        })
      },
      send: async (command) => {
        const { socket } = await get(command)
        for (const content of command.contents) socket.send(decode(content))
      },
      receive: async (command) => (await get(command)).receive(command.count),
      ping: async (command) => ping((await get(command)).socket),
      cut: async (command) => (await get(command)).socket.terminate(),
      close: async (command) => {
        const { socket } = await get(command)
        if (command.code === undefined) socket.close()
        else socket.close(command.code, command.reason)
      },
      closed: async (command) => (await get(command)).closed.promise,
      drop: ({ id }) => void sessions.delete(id)
    }
  }
}
