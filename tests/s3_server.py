"""An S3 server (moto) in a process of its own, and a proxy before it that fails on purpose. On loopback by default."""

import http.client
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

_SERVE = """
from moto.server import ThreadedMotoServer
import sys
server = ThreadedMotoServer(ip_address=sys.argv[1], port=0, verbose=False)
server.start()
print("%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@contextmanager
def moto(address: str = "127.0.0.1") -> Iterator[str]:
    """HOST:PORT of a server that ends with this block."""
    command = [sys.executable, "-W", "ignore", "-c", _SERVE, address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)


@contextmanager
def bucket(url: str, name: str) -> Iterator[None]:
    """S3 at `url` as this process and its children find it in their environment, with an empty bucket."""
    keys = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1", "REGION": "us-east-1",
            "EC2_METADATA_DISABLED": "true", "ENDPOINT_URL": url}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
            patch.delenv(variable)
        for key, value in keys.items():
            patch.setenv(f"AWS_{key}", value)
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT")):
            yield


@dataclass
class Faults:
    """What the proxy does to requests; `rate` of them, by a seeded dice, `only` those whose path ends so.

    Attributes:
        rate: share of requests that fail.
        kinds: how: 500, 503, 'cut' (half a body, then the connection ends) or 'slow' (`delay_s` late).
        only: end of the paths that are touched.
        methods: of the requests that are touched.
        delay_s: of a slow answer.
        seen: how often each kind was done.
    """

    rate: float = 0.0
    kinds: tuple[int | str, ...] = (500, 503, "cut", "slow")
    only: str = ""
    methods: tuple[str, ...] = ("GET", "PUT", "POST", "HEAD", "DELETE")
    delay_s: float = 0.3
    seen: Counter[int | str] = field(default_factory=Counter)
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    def draw(self, method: str, path: str) -> int | str | None:
        """What becomes of this request; None: nothing."""
        if method not in self.methods or not path.partition("?")[0].endswith(self.only):
            return None
        if self.dice.random() >= self.rate:
            return None
        kind = self.dice.choice(self.kinds)
        self.seen[kind] += 1
        return kind


@contextmanager
def proxy(target: str, faults: Faults) -> Iterator[str]:
    """The url of a proxy in front of HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def forward(self) -> None:
            body = self.body()
            fault = faults.draw(self.command, self.path)
            if isinstance(fault, int):
                self.answer(fault, {"Content-Type": "application/xml"}, _error(fault), None, False)
                return
            if fault == "slow":
                time.sleep(faults.delay_s)
            upstream = http.client.HTTPConnection(target, timeout=30)
            kept = {key: value for key, value in self.headers.items() if key.lower() not in _HOP_BY_HOP}
            upstream.request(self.command, self.path, body, kept | {"Content-Length": str(len(body))})
            response = upstream.getresponse()
            data = response.read()
            headers = {key: value for key, value in response.getheaders() if key.lower() not in _HOP_BY_HOP}
            self.answer(response.status, headers, data, response.getheader("Content-Length"), fault == "cut")
            upstream.close()

        def body(self) -> bytes:
            """What the client sent, whole or in chunks."""
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(chunks)

        def answer(self, status: int, headers: dict[str, str], data: bytes, length: str | None, cut: bool) -> None:
            self.send_response_only(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 (their names, not ours)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that gave up is part of the game."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date", "expect", "content-length"}


def _error(status: int) -> bytes:
    code = {500: "InternalError", 503: "SlowDown"}[status]
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
