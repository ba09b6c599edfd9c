"""A proxy for apt that keeps what it fetched: hosts of tests need no route anywhere, and nothing is downloaded twice.

What has a name of its own for ever (packages, and indices by their hash) comes from the folder. What may change is
asked for once in the life of a proxy, and comes from the folder when the archive cannot be reached.
"""

import contextlib
import os
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TIMEOUT_SECONDS = 60
FOLDER = Path(os.environ.get("SLIPWAY_PACKAGES", Path(__file__).parents[2] / ".tools/packages"))


class PackageCache:
    """A proxy that runs while this is entered.

    Args:
        address: where it listens, at a port of its own.
        folder: where it keeps things; processes may share it.
    """

    def __init__(self, address, folder=FOLDER):
        self.folder = folder
        self.asked = set()
        self.locks = defaultdict(threading.Lock)
        cache = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                code, content = cache.get(self.path)
                with contextlib.suppress(ConnectionError):
                    self.send_response(code)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{address}:{self.server.server_address[1]}"

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def get(self, url):
        """The status and the content of what is at a URL."""
        if not url.startswith("http://"):
            return 400, b"http alone\n"
        path = self.folder / urllib.parse.quote(url, safe="")
        with self.locks[url]:
            if path.exists() and (url in self.asked or url.endswith(".deb") or "/by-hash/" in url):
                return 200, path.read_bytes()
            try:
                with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
                    content = answer.read()
            except urllib.error.HTTPError as error:
                return error.code, b""
            except OSError:
                return (200, path.read_bytes()) if path.exists() else (504, b"")
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as partly:
                partly.write(content)
            Path(partly.name).replace(path)
            self.asked.add(url)
            return 200, content
