"""A reverse proxy in front of a Flower, as one has it at a path of a larger site."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.support.servers import HOST

_NOT_PASSED_ON = {"connection", "content-length", "transfer-encoding", "content-encoding", "host"}


@contextmanager
def proxy(upstream: str, path: str, *, strip: bool = False) -> Iterator[str]:
    """Serve what a server has below ``path``; gives the address of the site.

    Args:
        upstream: the server's address.
        path: what begins with it is passed on, all else is not there.
        strip: whether the server gets the rest of the path only.
    """
    client = httpx.Client(timeout=60, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404)
                return
            kept = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
            kept |= {"X-Forwarded-Prefix": path, "X-Forwarded-For": "203.0.113.9"}
            kept |= {"X-Forwarded-Host": "flower.example", "X-Scheme": "https"}
            rest = self.path.removeprefix(path) if strip else self.path
            answer = client.get(f"{upstream}{rest}", headers={**kept, "Host": "flower.example"})
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        client.close()
