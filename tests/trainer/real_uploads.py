"""What S3 and Google Cloud Storage do with uploads, and their stand-ins do not.

- They compare an object with the checksum that its request carries before they keep it. Moto and fake-gcs-server keep
  whatever comes (`test_fault_proxy` shows that).
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
  https://cloud.google.com/storage/docs/data-validation
- Google puts the chunks of a resumable upload where their range says, tells how far it has got, and answers again when
  the upload is done already. Fake-gcs-server appends whatever comes, also what comes again.
  https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check

Over plain HTTP boto3 sends checksums as headers; trailers, which it uses over TLS alone, are not read here.
"""

import base64
import hashlib
import json
import re
import zlib

import google_crc32c


def is_as_sent_to_s3(headers, body):
    """Whether a body is what its checksums say; None if it carries none that is known here."""
    made = {
        "x-amz-checksum-crc32": lambda: zlib.crc32(body).to_bytes(4, "big"),
        "content-md5": lambda: hashlib.md5(body).digest(),
    }
    found = [base64.b64encode(make()).decode() == headers[name] for name, make in made.items() if name in headers]
    return all(found) if found else None


def is_as_sent_to_google(content_type, body):
    """Whether an object that comes in one request with its description is what that says; None if it says nothing."""
    start, end = media(content_type, body)
    description = json.loads(body[body.index(b"\r\n\r\n") : body.index(b"\r\n--", 2)])
    return _crc32c(body[start:end]) == description["crc32c"] if "crc32c" in description else None


def media(content_type, body):
    """Where the object's own bytes begin and end in such a request."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)[1].encode()
    second = body.index(b"--" + boundary, len(boundary))
    return body.index(b"\r\n\r\n", second) + 4, body.rindex(b"\r\n--" + boundary)


class Resumable:
    """An upload to Google in chunks.

    Args:
        description: the body of the request that began it.

    Attributes:
        data: what has come.
        answer: of the service, once it has all.
    """

    def __init__(self, description):
        self._crc32c, self._total = json.loads(description).get("crc32c"), None
        self.data, self.answer = b"", None

    def take(self, content_range, chunk):
        """A chunk, or a question how far it has got (`bytes */*`)."""
        match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range)
        if match[1] is not None and int(match[1]) <= len(self.data):
            self.data = self.data[: int(match[1])] + chunk
        if match[2] != "*":
            self._total = int(match[2])

    @property
    def is_whole(self):
        """Whether all chunks are there."""
        return len(self.data) == self._total

    @property
    def is_as_sent(self):
        """Whether the whole is what was said when it began; None if nothing was."""
        return _crc32c(self.data) == self._crc32c if self._crc32c else None


def _crc32c(data):
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
