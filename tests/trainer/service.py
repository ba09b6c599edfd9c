"""HTTP services on this machine, for tests of what talks to one."""

import http.server
import threading


class Service:
    """An HTTP server on this machine; `requests` is what came, `answer` a function of the request that answers it."""

    def __init__(self, answer, address="127.0.0.1"):
        service = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.requests.append((self.command, self.path, dict(self.headers), body))
                code, data = answer(self.command, self.path, self.headers)
                self.send_response(code)
                self.send_header("Content-Type", "application/json" if data[:1] == b"{" else "text/plain")
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = handle_any  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.host = f"{address}:{self.server.server_port}"
        self.url = f"http://{self.host}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
