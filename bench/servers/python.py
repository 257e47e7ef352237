"""Python's websockets, asyncio server, under test. Speaks with the benchmark over Node's channel: lines of JSON."""

import asyncio
import gc
import json
import os
import resource
import socket
import ssl
import sys

from websockets import ConnectionClosed, broadcast, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

workload = json.loads(sys.argv[1])
kind = workload["kind"]
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))


def report(**message):
    channel.sendall(json.dumps(message).encode() + b"\n")


def cpu_micros():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e6)


async def settled_memory():
    for _ in range(2):
        gc.collect()
        await asyncio.sleep(0.3)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def obey():
    """Answers whatever the benchmark asks, until it is gone."""
    reader, _ = await asyncio.open_connection(sock=channel)
    while line := await reader.readline():
        tag = json.loads(line)["_tag"]
        if tag == "ReportCpu":
            report(_tag="Cpu", micros=cpu_micros())
        elif tag == "ReportMemory":
            report(_tag="Memory", bytes=await settled_memory())
    os._exit(0)


def utf16_units(text):
    """The other servers count what their strings count."""
    return len(text.encode("utf-16-le")) // 2


def connections():
    """Under their name from version 13 on, and the one before."""
    return server.connections if hasattr(server, "connections") else server.websockets


async def handle(connection):
    try:
        if kind == "broadcast":
            async for message in connection:
                broadcast(connections(), message)
        elif kind == "receive":
            count = total = 0
            async for message in connection:
                total += utf16_units(message)
                count += 1
                if count == workload["every"]:
                    await connection.send(str(total))
                    count = total = 0
        else:
            async for message in connection:
                await connection.send(message)
    except ConnectionClosed:
        pass


def compression():
    """As a plain installation has it, except that the echo's offer wants no context to be kept, and 15 bits fit all."""
    if not workload.get("deflate"):
        return {"compression": None}
    if kind == "memory":
        return {"compression": "deflate"}
    return {"compression": None, "extensions": [ServerPerMessageDeflateFactory()]}


def tls():
    if not workload.get("tls"):
        return None
    folder = os.environ["BENCH_CERTIFICATE"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    return context


async def main():
    global server
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with serve(handle, "127.0.0.1", 0, ssl=tls(), **compression()) as server:
        report(_tag="Listening", port=server.sockets[0].getsockname()[1])
        await obey()


asyncio.run(main())
