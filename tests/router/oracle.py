"""Tells what a real Airflow makes of the bytes of a request.

    oracle.py SOCKET

It listens on the unix socket. A question is the lengths of two requests, four
bytes each (big endian), and their bytes as a client would send them; the second
comes on the same connection, and there is none if its length is 0. The answer is
four bytes of length and JSON:

    {"httptools": READING, "h11": READING}

for the two HTTP parsers that uvicorn may have been started with, where READING is

    {"kind": "match", "method": "GET", "path": "/variables/{variable_key:path}",
     "params": {"variable_key": "a/b"}, "authorization": "Bearer ..."}
    {"kind": "status", "code": 404}

"match" means that the endpoint would have been called, with these parameters as
FastAPI has validated them; "behind" counts further requests in the same bytes; a
status with an "error" left the router as an exception; "conflict" means that two
dependencies were given two values for one name. "elsewhere" is the endpoint that
would have been called if Airflow were below another mount, or behind a proxy that
strips what stands before it. "next" is the reading of the second request; "silent"
is one that uvicorn never answered, on a connection that it did not close.

Everything up to there is real: uvicorn's protocol
classes, the app that `airflow api-server --apps execution` serves, Starlette's
mount, Cadwyn's choice of a version, FastAPI's parameters. Not real are the
socket, the endpoints and dependencies (they note their parameters instead), the
bodies (nothing is asked of them), and three middlewares that change the answer
alone. So no database is needed.
"""

import asyncio
import contextvars
import inspect
import json
import logging
import posixpath
import struct
import sys
from uuid import UUID

import cadwyn.route_generation
import fastapi.dependencies.utils
import uvloop
from cadwyn.middleware import VersionPickingMiddleware
from fastapi import HTTPException
from fastapi.dependencies.utils import get_typed_return_annotation, get_typed_signature
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Mount, Route, Router
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

REACHED = 418  # what an endpoint that was reached answers with

# What the endpoint and its dependencies were called with, in this request.
noted = contextvars.ContextVar("noted")

analyse, analysed = fastapi.dependencies.utils.get_dependant, {}


def get_dependant(**about):
    """FastAPI analyses a dependency that is overridden anew at each request: remember it."""
    key = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(about.items()))
    if key not in analysed:
        analysed[key] = analyse(**about)
    return analysed[key]


def note(values):
    """Remembers parameters; two dependencies that see two values are a discovery."""
    seen = noted.get()
    for name, value in values.items():
        if isinstance(value, BaseModel):
            note(value.model_dump(mode="json"))
        elif isinstance(value, (str, int, UUID)):
            value = value if isinstance(value, int) else str(value)
            if seen.setdefault(name, value) != value:
                seen["conflict"] = f"{name} is both {seen[name]!r} and {value!r}"


def stub(call, *, drop=(), reached=False):
    """A callable with the parameters of another, which notes them and does nothing else."""
    notes = call.__module__.startswith("airflow.")  # not Cadwyn's, for the version
    sent_as = {field.name: field.alias for field in analyse(path="/", call=call).query_params}

    async def noting(**values):
        if notes:
            note({sent_as.get(name, name): value for name, value in values.items()})
        if reached:
            raise HTTPException(REACHED)

    signature = get_typed_signature(call)
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for name, p in signature.parameters.items() if name not in drop]
    returns = get_typed_return_annotation(call) or inspect.Signature.empty
    noting.__signature__ = signature.replace(parameters=parameters, return_annotation=returns)
    noting.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": returns}  # Cadwyn goes by these
    noting.instead_of = call
    noting.__name__ = getattr(call, "__name__", type(call).__name__)
    noting.__doc__ = call.__doc__
    return noting


async def nothing():
    """A dependency that reads no parameter, such as a database session."""


class Overrides(dict):
    """FastAPI's dependency_overrides, with something instead of every dependency."""

    def __bool__(self):
        return True

    def get(self, call, default=None):
        if call not in self:
            self[call] = stub(call) if reads_parameters(analyse(path="/", call=call)) else nothing
        return self[call]


def reads_parameters(dependant):
    own = dependant.path_params or dependant.query_params or dependant.header_params or dependant.cookie_params
    return own or any(map(reads_parameters, dependant.dependencies))


def without_endpoints(init):
    """APIRoute's constructor, which puts something instead of each of Airflow's endpoints."""

    def __init__(self, path, endpoint, **options):
        if endpoint.__module__.startswith("airflow."):
            bodies = [field.name for field in analyse(path=path, call=endpoint).body_params]
            endpoint = stub(endpoint, drop=bodies, reached=True)
        init(self, path, endpoint, **options)

    return __init__


async def reached(scope, receive, send):
    raise HTTPException(REACHED)


def build():
    """Airflow's own app, with nothing behind its router."""
    APIRoute.__init__ = without_endpoints(APIRoute.__init__)
    cadwyn.route_generation._get_route_from_func = lambda routes, endpoint: next(
        (route for route in routes if getattr(route.endpoint, "instead_of", None) is endpoint), None
    )
    from airflow.api_fastapi.app import create_app

    app = create_app(apps="execution")
    app.user_middleware = []  # the access log
    api = next(route.app for route in app.routes if isinstance(route, Mount) and route.path == "/execution")
    # The other two echo the correlation id and refresh the token.
    api.user_middleware = [m for m in api.user_middleware if m.cls is VersionPickingMiddleware]
    api.dependency_overrides = Overrides()
    api._cadwyn_initialize()
    for route in api.router.unversioned_routes:
        route.app = reached  # the API's own documentation
    for router in api.router.versioned_routers.values():
        for route in router.routes:
            if isinstance(route, Route) and not isinstance(route, APIRoute):
                route.app = reached
    return app


class Transport(asyncio.Transport):
    """A connection without a network: it keeps the status of the first answer."""

    def __init__(self):
        super().__init__()
        self.code, self.closed, self.announced = None, False, False

    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8080)}.get(name, default)

    def write(self, data):
        if self.code is None and data.startswith(b"HTTP/1.1 "):
            self.code = int(data[9:12])
        self.announced = self.announced or b"connection: close\r\n" in data.lower()

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


class Witness:
    """The app as uvicorn calls it. What it sees alike, from either parser, it routes once."""

    def __init__(self, app):
        self.app, self.known, self.read = app, {}, []

    async def __call__(self, scope, receive, send):
        headers = scope["headers"]
        # The version is the only header that Airflow's routes and parameters depend on.
        versions = tuple(value for name, value in headers if name == b"airflow-api-version")
        key = (scope["method"], scope["path"], scope["query_string"], versions)
        if key not in self.known:
            if len(self.known) > 10_000:
                self.known.clear()
            self.known[key] = await self.ask(self.app, scope, receive)
            if self.known[key]["kind"] != "match" and (elsewhere := await self.elsewhere(scope, receive)):
                self.known[key]["elsewhere"] = elsewhere
        read = self.known[key]
        if read["kind"] == "match":
            credential = next((value for name, value in headers if name == b"authorization"), b"")
            read = read | {"authorization": credential.decode("latin-1")}
        self.read.append(read)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def elsewhere(self, scope, receive):
        """The endpoint that the path would lead to below another mount; health, which is public, does not count."""
        path = scope["path"]
        at = path.find("execution")
        while at >= 0:
            before, behind = path[:at].rstrip("/"), "/" + path[at:]
            tries = [(self.app, behind), (self.app, posixpath.normpath(behind))]
            if before.startswith("/") and "{" not in before:
                tries.append((Router([Mount(before, self.app)]), path))
            for app, stripped in tries:
                read = await self.ask(app, {**scope, "path": stripped, "raw_path": stripped.encode()}, receive)
                if read["kind"] == "match" and not read["path"].startswith("/health"):
                    return f"{read['method']} {read['path']}"
            at = path.find("execution", at + 1)

    async def ask(self, app, scope, receive):
        method, code = scope["method"], None

        async def send(message):
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]

        params = {}
        noted.set(params)
        try:
            await app(scope, receive, send)
        except Exception as error:
            # As uvicorn would, unless Airflow has answered already.
            return {"kind": "status", "code": 500, "error": repr(error)}
        if code != REACHED:
            return {"kind": "status", "code": code}
        if "conflict" in params:
            return {"kind": "conflict", "error": params["conflict"]}
        route = scope.get("route")
        return {
            "kind": "match",
            "method": method,
            "path": route.path if isinstance(route, APIRoute) else scope["path"].removeprefix("/execution"),
            "params": params,
        }


class Oracle:
    def __init__(self):
        logging.disable(logging.CRITICAL)
        self.witness = Witness(build())
        # Requests that upgrade to a websocket are read as any other: Airflow has no route for them.
        self.config = Config(self.witness, ws="none", log_config=None, access_log=False, proxy_headers=False, lifespan="off")
        self.config.load()

    async def read(self, protocol_class, data, following):
        state = ServerState()
        protocol, transport = protocol_class(self.config, state, {}), Transport()
        protocol.connection_made(transport)
        reading = await self.feed(protocol, transport, state, data)
        if following:
            reading = reading | {"next": await self.follow(protocol_class, data, following)}
        if protocol.timeout_keep_alive_task is not None:
            protocol.timeout_keep_alive_task.cancel()
        if transport.code is None:
            protocol.connection_lost(None)
        return reading

    async def follow(self, protocol_class, data, following):
        """Reads a request on the connection on which another one came, with its body in a piece of its own."""
        state = ServerState()
        protocol, transport = protocol_class(self.config, state, {}), Transport()
        protocol.connection_made(transport)
        head, end, body = data.partition(b"\r\n\r\n")
        for piece in filter(None, (head + end, body)):
            if not transport.closed:
                await self.feed(protocol, transport, state, piece)
        if transport.announced:
            return {"kind": "closed"}  # a client sends nothing more on it
        if transport.closed:
            return {"kind": "silent"}
        transport.code = None
        reading = await self.feed(protocol, transport, state, following)
        if protocol.timeout_keep_alive_task is not None:
            protocol.timeout_keep_alive_task.cancel()
        protocol.connection_lost(None)
        return reading

    async def feed(self, protocol, transport, state, data):
        self.witness.read = []
        try:
            protocol.data_received(data)
        except Exception:  # h11's answer to a bad HEAD, for one
            transport.close()  # as the event loop does
        while state.tasks:
            await asyncio.wait(state.tasks)
            await asyncio.sleep(0)
        match self.witness.read:
            case [first, *others]:
                return first | {"behind": len(others)} if others else first
        if transport.code is not None:
            return {"kind": "status", "code": transport.code}
        return {"kind": "silent"}

    async def serve(self, reader, writer):
        while True:
            try:
                lengths = struct.unpack(">II", await reader.readexactly(8))
                asked = [await reader.readexactly(length) for length in lengths]
            except asyncio.IncompleteReadError:
                writer.close()
                return
            answer = json.dumps(
                {"httptools": await self.read(HttpToolsProtocol, *asked), "h11": await self.read(H11Protocol, *asked)}
            ).encode()
            writer.write(struct.pack(">I", len(answer)) + answer)
            await writer.drain()

    async def main(self, path):
        async with await asyncio.start_unix_server(self.serve, path) as server:
            await server.serve_forever()


if __name__ == "__main__":
    oracle = Oracle()
    fastapi.dependencies.utils.get_dependant = get_dependant
    uvloop.run(oracle.main(sys.argv[1]))
