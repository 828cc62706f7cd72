"""A real HTTP server on this machine that misbehaves on request."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does; ``asked`` collects (path, Range header) of every request."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers breaks off."""
    ranges: bool = True
    status: list[int] = field(default_factory=list)
    """Statuses of the next answers, instead of the file."""
    chunked: bool = False
    shifted: bool = False
    """Answer a range with another one."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def do_GET(self):
        plan = self.behaviour
        wanted = self.headers.get("Range")
        plan.asked.append((self.path, wanted))
        if plan.status:
            return self.send_error(plan.status.pop(0))
        if self.path not in plan.files:
            return self.send_error(404)
        data = plan.files[self.path]
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and plan.ranges else 0
        if start >= len(data) > 0 and wanted and plan.ranges:
            return self.send_error(416)
        self._send(data, start, partial=bool(wanted and plan.ranges))
        return None

    def _send(self, data, start, *, partial):
        plan = self.behaviour
        self.send_response(206 if partial else 200)
        if partial:
            first = start + 1 if plan.shifted else start
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if plan.chunked:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if plan.cut_after:
            body = body[: plan.cut_after.pop(0)]
            self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def serving(**files):
    """Serve ``name=bytes`` under ``/name``; yields (address, behaviour)."""
    behaviour = Behaviour({f"/{name}": data for name, data in files.items()})
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_address() -> str:
    """Return an address at which nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
