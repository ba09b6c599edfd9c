"""Servers that stand in for the clouds (`benchmarks.stand_ins`), and one that answers as a test says."""

import contextlib
import http.server
import threading

from benchmarks.stand_ins import gcs, gcs_environment, make_bucket, s3, s3_environment

__all__ = ["NO_CLOUD", "answering", "gcs", "gcs_environment", "make_bucket", "s3", "s3_environment"]

NO_CLOUD = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"),
)
"""Variables that lead to a cloud: a test of what happens without one unsets them."""


@contextlib.contextmanager
def answering(answer):
    """A server that answers as a test says, for what stand-ins never do; gives its address.

    Args:
        answer: given the method, path, headers and body of a request, returns status, headers and body. An extra
            `Content-Length` promises more than there is; None breaks the connection.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answered = answer(self.command, self.path, self.headers, body)
            self.close_connection = True
            if answered is not None:
                status, headers, body = answered
                self.send_response(status)
                for name, value in ({"Content-Length": len(body), "Connection": "close"} | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
