"""The script of a node's first boot, as `user data` of EC2 and `startup-script` of Compute Engine take it."""

import ast
import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from trainer.errors import BadInput

HERE = Path(__file__).parent
MAXIMUM_BYTES = 16 << 10
"""EC2's limit, before base64. Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""
WHEN_FAILED = ("nothing", "scale-in")
MOST_MINUTES = 24 * 60

_URI = re.compile(r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/[A-Za-z0-9._/=-]*\.tar\.gz")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOG = re.compile(r"[A-Za-z0-9._/#-]{1,512}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----")


@dataclasses.dataclass(frozen=True)
class UserData:
    """What a node must know at its first boot; none of it is secret.

    Attributes:
        bundle_uri: the bundle, `s3://bucket/key.tar.gz` or `gs://bucket/key.tar.gz`.
        bundle_sha256: its checksum, in hexadecimal digits.
        public_key: the Ed25519 key, in PEM, whose holder must have signed it; None: the checksum is enough.
        variables: of the playbook, such as `trainer_when_done` (`ansible/roles/trainer/meta/argument_specs.yml`).
        environment: environment variables of the script, such as another endpoint of S3.
        log: where a step that fails is told besides the journal: a log group of CloudWatch Logs that is there (the role
            needs logs:CreateLogStream and logs:PutLogEvents), or the name of a log of Cloud Logging (the service
            account needs roles/logging.logWriter), in the bundle's cloud; None: nowhere else.
        when_failed: what becomes of the machine when its first boot fails. `scale-in`: it leaves its Auto Scaling group
            (the role needs autoscaling:TerminateInstanceInAutoScalingGroup) or managed instance group (the service
            account needs compute.instanceGroupManagers.update), which makes that smaller; if it may not, it is switched
            off. `nothing`: it stays.
        limit_minutes: with `scale-in`, how long the first boot may take; longer is a failure.
    """

    bundle_uri: str
    bundle_sha256: str
    public_key: str | None = None
    variables: Mapping[str, object] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    log: str | None = None
    when_failed: str = "nothing"
    limit_minutes: int = 60

    def __post_init__(self) -> None:
        """Refuse what no script could be made of.

        Raises:
            BadInput: for the first thing that is wrong.
        """
        if not _URI.fullmatch(self.bundle_uri):
            allowed = "s3://bucket/key.tar.gz or gs://bucket/key.tar.gz"
            raise BadInput("bundle_uri", self.bundle_uri, allowed, "give the address of a bundle in a bucket")
        if not _SHA256.fullmatch(self.bundle_sha256):
            cure = "take it from the .sha256 file beside the bundle"
            raise BadInput("bundle_sha256", self.bundle_sha256, "64 hexadecimal digits", cure)
        if self.public_key is not None and not _PEM.fullmatch(self.public_key.strip()):
            cure = "openssl pkey -in key.pem -pubout"
            raise BadInput("public_key", self.public_key, "a public key in PEM", cure)
        if self.log is not None and not _LOG.fullmatch(self.log):
            allowed = "up to 512 letters, digits and ._/#-"
            raise BadInput("log", self.log, allowed, "give a log group's name, or that of a log of Cloud Logging")
        if self.when_failed not in WHEN_FAILED:
            cure = "give scale-in for a machine of a group, and nothing for any other"
            raise BadInput("when_failed", self.when_failed, " or ".join(WHEN_FAILED), cure)
        if not 1 <= self.limit_minutes <= MOST_MINUTES:
            cure = "give three times as long as a first boot takes"
            raise BadInput("limit_minutes", self.limit_minutes, f"1 to {MOST_MINUTES}", cure)
        for name in (*self.variables, *self.environment):
            if not _VARIABLE.fullmatch(name):
                raise BadInput("variables", name, "names of letters, digits and underscores", "choose another name")


def program() -> str:
    """`instance.py` without its comments and docstrings, which would fill a quarter of the script."""
    tree = ast.parse((HERE / "instance.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def render(user_data: UserData) -> str:
    """The script.

    Raises:
        BadInput: if it is longer than EC2 takes.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (a shell script; the filter `shell` quotes)
    )
    templates.filters["shell"] = shlex.quote
    text = templates.get_template("user-data.sh.jinja").render(
        bundle_uri=user_data.bundle_uri,
        bundle_sha256=user_data.bundle_sha256,
        public_key=(user_data.public_key or "").strip(),
        variables=json.dumps(dict(user_data.variables), sort_keys=True),
        environment=dict(user_data.environment),
        instance=program(),
        log=user_data.log,
        leaves=user_data.when_failed == "scale-in",
        limit_minutes=user_data.limit_minutes,
    )
    size = len(text.encode())
    if size > MAXIMUM_BYTES:
        raise BadInput("user data", size, f"at most {MAXIMUM_BYTES} bytes", "give the playbook fewer variables")
    return text
