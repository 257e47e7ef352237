"""Python's websockets as client and server, told what to do by lines of JSON on stdin; the commands are web.mjs's."""

import asyncio
import base64
import collections
import http
import json
import os
import ssl
import sys
import urllib.parse

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory


def decode(content):
    return content if isinstance(content, str) else base64.b64decode(content["base64"])


def encode(message):
    return message if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}


def pem(name):
    return os.path.join(os.environ["INTEROP_TLS"], name + ".pem")


def extensions(factory, deflate):
    """What to say about compression: the library's own choice, or as told."""
    return {} if deflate is None else {"compression": None, "extensions": [factory(**deflate)]}


async def later(fragments, pinging, socket):
    for fragment in fragments:
        await asyncio.sleep(0)
        yield fragment
        if pinging:
            await socket.ping()


class Peer:
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.sockets = collections.defaultdict(loop.create_future)

    async def listen(self, command):
        async def handler(socket):
            url = urllib.parse.urlsplit(socket.path)
            for greeting in urllib.parse.parse_qs(url.query).get("greeting", []):
                await socket.send(greeting)
            self.sockets[url.path[1:]].set_result(socket)
            await socket.wait_closed()

        async def process_request(path, headers):
            return (http.HTTPStatus.FORBIDDEN, [], b"no") if path == "/refused" else None

        async def start(tls=None):
            server = await websockets.serve(
                handler,
                "127.0.0.1",
                0,
                ssl=tls,
                process_request=process_request,
                subprotocols=["superchat", "chat"],
                **extensions(ServerPerMessageDeflateFactory, command.get("deflate")),
            )
            return server.sockets[0].getsockname()[1]

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pem("cert"), pem("key"))
        return {"ws": await start(), "wss": await start(tls)}

    async def accept(self, command):
        return {"subprotocol": (await self.sockets[command["id"]]).subprotocol or ""}

    async def open(self, command):
        trust = ssl.create_default_context(cafile=pem("ca"))
        try:
            socket = await websockets.connect(
                command["url"],
                subprotocols=command.get("subprotocols"),
                origin=command.get("origin"),
                ssl=trust if command["url"].startswith("wss:") else None,
                **extensions(ClientPerMessageDeflateFactory, command.get("deflate")),
            )
        except websockets.InvalidStatusCode as error:
            return {"refused": error.status_code}
        self.sockets[command["id"]].set_result(socket)
        return {"subprotocol": socket.subprotocol or ""}

    async def send(self, command):
        socket = await self.sockets[command["id"]]
        for content in command["contents"]:
            await socket.send(decode(content))

    async def fragments(self, command):
        socket = await self.sockets[command["id"]]
        fragments = [decode(content) for content in command["contents"]]
        pinging = command.get("pinging", False)
        at_once = isinstance(fragments[0], str) and not pinging
        await socket.send(fragments if at_once else later(fragments, pinging, socket))

    async def receive(self, command):
        socket = await self.sockets[command["id"]]
        return [encode(await socket.recv()) for _ in range(command["count"])]

    async def ping(self, command):
        socket = await self.sockets[command["id"]]
        await (await socket.ping())

    async def cut(self, command):
        socket = await self.sockets[command["id"]]
        socket.transport.abort()

    async def close(self, command):
        socket = await self.sockets[command["id"]]
        await socket.close(command["code"], command["reason"])

    async def closed(self, command):
        socket = await self.sockets[command["id"]]
        await socket.wait_closed()
        return {"code": socket.close_code, "reason": socket.close_reason}

    async def drop(self, command):
        del self.sockets[command["id"]]


async def answer(peer, command):
    try:
        value = await getattr(peer, command["run"])(command)
        line = {"call": command["call"], "value": value}
    except Exception as error:
        line = {"call": command["call"], "error": repr(error)}
    print(json.dumps(line), flush=True)


async def main():
    peer = Peer()
    # A line may hold a message of 1 MiB in base64.
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    running = set()
    while line := await lines.readline():
        task = asyncio.create_task(answer(peer, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
