import { once } from "node:events"
import { type AddressInfo, createServer, connect as netConnect } from "node:net"
import { NodeDeflate } from "effect-websockets/node"
import { macrotask } from "../../src/macrotask.js"
import { NodeByteStream } from "../../src/node/byteStream.js"
import { xor } from "../../src/protocol/mask.js"
import * as native from "../../src/protocol/native.js"
import { sha1, sha1Portable } from "../../src/protocol/sha1.js"
import { sharedMemory } from "../../src/protocol/vectors.js"
import { sharedReadBuffer } from "../../src/Transport.js"

/** Which ways the library has chosen that not every runtime has, each found out by what it does. */

export interface Choices {
  /** Sockets read into memory that all connections share. `node/byteStream.ts` */
  readonly sharedReads: boolean
  /** Payloads are masked sixteen bytes a step, by WebAssembly. `protocol/vectors.ts` */
  readonly vectors: boolean
  /** zlib is driven by its private handles. `node/deflateContext.ts` */
  readonly zlibContexts: boolean
  /** Bytes become text and text bytes by the methods of Node's Buffer. `protocol/native.ts`, for `protocol/utf8.ts` and memory */
  readonly nodeBuffers: boolean
  /** SHA-1 is Node's. `protocol/sha1.ts` */
  readonly nodeCrypto: boolean
  /** What waits for its turn waits for no timer. `macrotask.ts` */
  readonly immediates: boolean
}

/** Where a byte that comes over a socket lies. */
const readsShared = async (): Promise<boolean> => {
  const server = createServer((socket) => socket.end("x")).listen(0, "127.0.0.1")
  await once(server, "listening")
  const socket = netConnect((server.address() as AddressInfo).port, "127.0.0.1")
  const memory = await new Promise<ArrayBufferLike>((resolve) =>
    new NodeByteStream(socket, new Uint8Array(0)).attach({
      data: ({ buffer }) => resolve(buffer),
      drain: () => {},
      end: () => {},
      closed: () => {}
    })
  )
  socket.destroy()
  server.close()
  await once(server, "close")
  return memory === sharedReadBuffer.buffer
}

/** Whether a payload that lies elsewhere went through the page that lies behind the shared memory. */
const isVectorised = (): boolean => {
  const payload = new Uint8Array(8192)
  xor(payload, 0, payload.length, 0x12345678, 0)
  const behind = new Uint8Array(sharedMemory.buffer, sharedMemory.byteOffset + sharedMemory.length)
  return Buffer.compare(behind.subarray(0, payload.length), payload) === 0
}

const deflaterOf = ({ deflater }: typeof NodeDeflate.service) => {
  const made = deflater({ windowBits: 15, level: 6, memLevel: 8, keepsContext: true })
  made.end()
  return made.constructor
}

/** Whether it sets no timer. */
const isImmediate = (): boolean => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
  const before = timers()
  macrotask(() => {})
  return timers() === before
}

export const findChoices = async (): Promise<Choices> => ({
  sharedReads: await readsShared(),
  vectors: isVectorised(),
  zlibContexts: deflaterOf(NodeDeflate.service) !== deflaterOf(NodeDeflate.portable),
  nodeBuffers: native.buffers !== undefined,
  nodeCrypto: native.crypto !== undefined && sha1 !== sha1Portable,
  immediates: isImmediate()
})
