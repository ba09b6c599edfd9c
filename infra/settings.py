"""A stack's configuration: every key, what it may be, and all that is wrong with it, found together.

Keys are Pulumi's, `slipway:KEY`, in its camel case: `pulumi config set slipway:diskGib 200`. Values come as text.
"""

import dataclasses
import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from infra import machines
from infra.lifecycle import RULES, Lifecycle, Rules
from trainer.errors import MISSING, BadInput, BadInputs, SlipwayError, nearest

NAMESPACE = "slipway"
AWS, GCP = "aws", "gcp"
NAMES = {AWS: "AWS", GCP: "Google Cloud"}
SCALE_IN, STAY = "scale-in", "stay"
NAT, PRIVATE = "nat", "private"
SECRET = "[secret]"  # noqa: S105 (what is shown in place of one)

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,63}")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_BILLING_ACCOUNT = re.compile(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}")
_AMI = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})|(resolve:ssm:)?/[A-Za-z0-9._/-]+")
_GOOGLE_IMAGE = re.compile(r"projects/[a-z0-9:.-]+/global/images/(family/)?[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_QUICKSIGHT_USER = re.compile(r"arn:aws[a-z-]*:quicksight:[a-z0-9-]+:\d{12}:user/.+")


class _Wrong(ValueError):
    """A text that is no value of a key."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a stack's configuration says, checked.

    Attributes are the keys of `KEYS`, which says what each means; those of the other cloud are None.
    """

    cloud: str
    region: str
    run: str
    lifecycle: Lifecycle
    machines: tuple[str, ...]
    spot: bool
    seeds: int
    disk_gib: int
    image: str | None
    egress: str
    cidr: ipaddress.IPv4Network
    when_done: str
    email: str | None
    budget_usd: Decimal | None
    analytics: bool
    signing_key: Path | None
    zones: int | None
    quicksight_user: str | None
    project: str | None
    billing_account: str | None
    secret_keys: frozenset[str]
    """Which keys were set with `--secret`, by these names: their values must stay encrypted in a stack's state."""

    @property
    def rules(self) -> Rules:
        """What the lifecycle decides."""
        return RULES[self.lifecycle]

    @property
    def has_gpu(self) -> bool:
        """Whether its machines have GPUs: `load` sees to it that all do, or none."""
        return machines.find(self.cloud, self.machines[0]).gpus > 0


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Attributes:
        name: as the attribute of `Settings`; Pulumi's is `option`.
        meaning: for the docs.
        allowed: for messages and the docs.
        example: a value that will do.
        parse: the value of a text; raises ValueError if it is none.
        default: if the key is not set, as text; None: no value.
        clouds: where it means something.
        required: whether it must be set.
    """

    name: str
    meaning: str
    allowed: str
    example: str
    parse: Callable[[str], Any]
    default: str | None = None
    clouds: tuple[str, ...] = (AWS, GCP)
    required: bool = False

    @property
    def option(self) -> str:
        """The key as Pulumi has it, without the namespace."""
        first, *others = self.name.split("_")
        return first + "".join(each.capitalize() for each in others)

    def wrong(self, value: object, allowed: str | None = None, cure: str | None = None) -> BadInput:
        """The error for a value."""
        set_it = f"pulumi config set {NAMESPACE}:{self.option} {self.example}"
        return BadInput(f"{NAMESPACE}:{self.option}", value, allowed or self.allowed, cure or set_it)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise _Wrong
        return text

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise _Wrong
        return text

    return parse


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise _Wrong
        return value

    return parse


def _flag(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    found = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    words = tuple(str(each).strip() for each in found)
    if not words or not all(words) or len(set(words)) < len(words):
        raise _Wrong
    return words


def _network(text: str) -> ipaddress.IPv4Network:
    network = ipaddress.IPv4Network(text)
    if not network.is_private or not 16 <= network.prefixlen <= 22:
        raise _Wrong
    return network


def _money(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or value <= 0:
        raise _Wrong
    return value


def _image(text: str) -> str:
    if not (_AMI.fullmatch(text) or _GOOGLE_IMAGE.fullmatch(text)):
        raise _Wrong
    return text


def _some(text: str) -> str:
    if not text.strip():
        raise _Wrong
    return text


KEYS: tuple[Key, ...] = (
    Key("cloud", "Whose machines.", "aws or gcp", "aws", _one_of(AWS, GCP), required=True),
    Key("region", "Where in that cloud.", "a region of the cloud", "us-east-1", _some, required=True),
    Key(
        "run",
        "What to train: a run file, a preset or an environment.",
        "a YAML file, a preset's name, or an environment's id",
        "lost-sales-ppo",
        _some,
        required=True,
    ),
    Key(
        "lifecycle",
        "What may be deleted, and how long it can be had back (see the table below).",
        "dev, keep or cleanup",
        "dev",
        lambda text: Lifecycle(text),
        "dev",
    ),
    Key(
        "machines",
        "Machine types. AWS takes the one that is to be had; Google Cloud takes a single one.",
        "machine types of the region, with commas, all with GPUs or none",
        "g6.xlarge,g5.xlarge",
        _words,
    ),
    Key(
        "spot",
        "Whether to train on spot capacity: cheaper, and taken away at times, which costs minutes.",
        "true or false",
        "true",
        _flag,
        "true",
    ),
    Key(
        "seeds",
        "How many runs, on consecutive seeds, each on a machine of its own.",
        "a whole number from 1 to 100",
        "5",
        _between(1, 100),
        "1",
    ),
    Key("disk_gib", "Size of each machine's disk, in GiB.", "a whole number from 50 to 16000", "100",
        _between(50, 16_000), "100"),
    Key(
        "image",
        "Machine image; left out, the current Deep Learning image for GPUs and Ubuntu 22.04 for processors.",
        "an AMI's id or the SSM parameter that holds one; in Google Cloud projects/P/global/images/IMAGE or"
        " .../images/family/FAMILY",
        "ami-0123456789abcdef0",
        _image,
    ),
    Key(
        "egress",
        "How machines reach what lies outside: through NAT, or only the cloud's own services (then bundles carry all"
        " packages, and the image must have Python 3.11).",
        "nat or private",
        "nat",
        _one_of(NAT, PRIVATE),
        "nat",
    ),
    Key(
        "cidr",
        "Addresses of the network.",
        "a private IPv4 network from /16 to /22",
        "10.20.0.0/16",
        _network,
        "10.20.0.0/16",
    ),
    Key(
        "when_done",
        "What becomes of a machine when its run has ended for good.",
        "scale-in or stay",
        "scale-in",
        _one_of(SCALE_IN, STAY),
        "scale-in",
    ),
    Key("email", "Who hears of alarms.", "an e-mail address", "ops@example.com", _matching(_EMAIL)),
    Key(
        "budget_usd",
        "Warn when a month's cost comes near it, in USD.",
        "an amount above 0",
        "200",
        _money,
    ),
    Key("analytics", "Whether finished runs' tables can be queried in SQL and drawn.", "true or false", "true",
        _flag, "false"),
    Key(
        "signing_key",
        "Ed25519 private key in PEM that signs bundles; it stays on this machine.",
        "a file",
        "key.pem",
        lambda text: Path(_some(text)),
    ),
    Key("zones", "How many availability zones to spread over.", "a whole number from 2 to 6", "3", _between(2, 6), "2",
        (AWS,)),
    Key(
        "quicksight_user",
        "Who sees the QuickSight dashboard; it needs a subscription of QuickSight, and is left out without.",
        "the ARN of a QuickSight user",
        "arn:aws:quicksight:us-east-1:123456789012:user/default/me",
        _matching(_QUICKSIGHT_USER),
        clouds=(AWS,),
    ),
    Key("project", "The project.", "a project's id: 6 to 30 small letters, digits and dashes", "my-project",
        _matching(_PROJECT), clouds=(GCP,), required=True),
    Key(
        "billing_account",
        "The billing account that the budget watches.",
        "a billing account's id",
        "012345-6789AB-CDEF01",
        _matching(_BILLING_ACCOUNT),
        clouds=(GCP,),
    ),
)  # fmt: skip
"""Every key, in the docs' order."""
BY_OPTION: Mapping[str, Key] = {key.option: key for key in KEYS}
BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}

DEFAULT_MACHINES: Mapping[str, tuple[str, ...]] = {
    AWS: ("g6.xlarge", "g5.xlarge", "g4dn.xlarge"),
    GCP: ("g2-standard-4",),
}
"""Where `machines` is not set: of the default, those that the region has."""


def load(configuration: Mapping[str, str], secret_keys: Collection[str] = (), folder: Path | None = None) -> Settings:
    """The settings that a stack's configuration means.

    Args:
        configuration: texts by key, without the namespace.
        secret_keys: which of them are secrets; messages do not show their values.
        folder: what names of files are relative to; None: the working folder.

    Raises:
        BadInputs: for everything that is wrong, together.
    """
    errors = [_unknown(option) for option in configuration if option not in BY_OPTION]
    cloud = configuration.get("cloud")
    values: dict[str, Any] = {}
    for key in KEYS:
        text = configuration.get(key.option)
        shown = SECRET if key.option in secret_keys else text
        if cloud in (AWS, GCP) and cloud not in key.clouds:
            if text is not None:
                other = NAMES[key.clouds[0]]
                cure = f"pulumi config rm {NAMESPACE}:{key.option}, or set {NAMESPACE}:cloud {key.clouds[0]}"
                errors.append(key.wrong(shown, f"nothing in {NAMES[cloud]}: the key is {other}'s", cure))
            continue
        if (text is None and key.required and key.clouds != (GCP,)) or (text is None and key.required and cloud == GCP):
            errors.append(key.wrong(MISSING))
            continue
        text = key.default if text is None else text
        if text is None:
            continue
        try:
            values[key.name] = key.parse(text)
        except (ValueError, KeyError, ArithmeticError, TypeError):
            errors.append(key.wrong(shown))
    if cloud in (AWS, GCP):
        errors += _check_machines(values, "machines" in configuration)
        errors += _check_image(values)
        errors += _check_money(values, configuration)
        errors += _check_analytics(values)
    errors += _check_files(values, folder or Path())
    if errors:
        raise BadInputs(errors)
    secret_names = frozenset(BY_OPTION[option].name for option in secret_keys if option in BY_OPTION)
    found: dict[str, Any] = {key.name: values.get(key.name) for key in KEYS}
    return Settings(**found, secret_keys=secret_names)


def _unknown(option: str) -> BadInput:
    near = nearest(option, BY_OPTION)
    cure = f"write {NAMESPACE}:{near}" if near else f"pulumi config rm {NAMESPACE}:{option}"
    return BadInput(f"{NAMESPACE}:{option}", "a key that does not exist", ", ".join(BY_OPTION), cure)


def _check_machines(values: dict[str, Any], given: bool) -> Iterator[BadInput]:
    """Region and machines must be the cloud's, and go together; fills in the default."""
    cloud, region, key = values["cloud"], str(values.get("region", "")), BY_NAME["machines"]
    regions = machines.regions(cloud)
    known = region in regions
    if region and not known:
        near = nearest(region, regions) or regions[0]
        cure = f"pulumi config set {NAMESPACE}:region {near}"
        yield BY_NAME["region"].wrong(region, ", ".join(regions), cure)
    if not given:
        default = DEFAULT_MACHINES[cloud]
        values["machines"] = tuple(each for each in default if not known or machines.offered(cloud, each, region))
        if not values["machines"]:
            yield key.wrong(MISSING, f"a machine type of {region}, which has none of the default ones")
            return
    if "machines" not in values:
        return
    found = []
    for name in values["machines"]:
        try:
            found.append(machines.find(cloud, name))
        except BadInput as error:
            yield key.wrong(name, error.allowed, error.cure)
            continue
        if known and not machines.offered(cloud, name, region):
            others = [each.name for each in machines.in_region(cloud, region)]
            cure = f"choose one of those, or another {NAMESPACE}:region"
            yield key.wrong(name, f"a type that {region} has: {', '.join(others)}", cure)
        if values.get("spot") and not found[-1].spot:
            cure = f"pulumi config set {NAMESPACE}:spot false"
            yield BY_NAME["spot"].wrong(True, f"false with {name}, which has no spot capacity", cure)
    if len({bool(each.gpus) for each in found}) > 1:
        yield key.wrong(",".join(values["machines"]), "types that all have GPUs, or none", "choose one kind")
    if cloud == GCP and len(values["machines"]) > 1:
        yield key.wrong(",".join(values["machines"]), "one machine type in Google Cloud", "choose one of them")


def _check_image(values: Mapping[str, Any]) -> Iterator[BadInput]:
    image, cloud = values.get("image"), values["cloud"]
    if image is not None and bool(_AMI.fullmatch(image)) != (cloud == AWS):
        example = {AWS: "ami-0123456789abcdef0", GCP: "projects/debian-cloud/global/images/family/debian-12"}[cloud]
        key = BY_NAME["image"]
        yield key.wrong(image, f"an image of {NAMES[cloud]}", f"pulumi config set {NAMESPACE}:image {example}")


def _check_money(values: Mapping[str, Any], given: Mapping[str, str]) -> Iterator[BadInput]:
    """A budget must last an hour, and have somebody to tell."""
    budget, cloud, key = values.get("budget_usd"), values["cloud"], BY_NAME["budget_usd"]
    if budget is None:
        return
    if "email" not in given:
        yield BY_NAME["email"].wrong(
            MISSING, f"an e-mail address, as {NAMESPACE}:{key.option} must be told to somebody"
        )
    account = BY_NAME["billing_account"]
    if cloud == GCP and account.option not in given:
        yield account.wrong(MISSING, f"a billing account's id, as {NAMESPACE}:{key.option} is set")
    prices = [
        machines.price_per_hour(cloud, name, values["region"])
        for name in values.get("machines", ())
        if values.get("region") in machines.regions(cloud)
        and name in machines.MACHINES[cloud]
        and machines.offered(cloud, name, values["region"])
    ]
    hour = Decimal(str(max(prices, default=0))) * values.get("seeds", 1)
    if budget < hour:
        cure = f"pulumi config set {NAMESPACE}:{key.option} {hour * 24:.0f}, a day's price, or choose smaller machines"
        yield key.wrong(str(budget), f"at least {hour:.2f}, an hour's price of its machines", cure)


def _check_analytics(values: Mapping[str, Any]) -> Iterator[BadInput]:
    """QuickSight draws what Athena reads."""
    key, analytics = BY_NAME["quicksight_user"], BY_NAME["analytics"]
    if values.get("quicksight_user") is not None and values.get("analytics") is False:
        allowed = f"true, as {NAMESPACE}:{key.option} is set"
        yield analytics.wrong(False, allowed, f"pulumi config set {NAMESPACE}:{analytics.option} true")


def _check_files(values: dict[str, Any], folder: Path) -> Iterator[BadInput]:
    """The run file and the key must be what they should; makes their names absolute."""
    from trainer.bundle import signature
    from trainer.config import source
    from trainer.run import files

    key_file = values.get("signing_key")
    if key_file is not None:
        values["signing_key"] = folder / key_file
        try:
            signature.private_key(folder / key_file)
        except BadInput as error:
            yield BY_NAME["signing_key"].wrong(str(key_file), error.allowed, error.cure)
    run = values.get("run")
    if run is None:
        return
    if files.is_file(folder / run):
        values["run"] = str((folder / run).absolute())
    try:
        source.run_file(values["run"], ())
    except BadInputs as errors:
        yield from errors.errors
    except BadInput as error:
        if error.field == "RUNFILE":
            yield BY_NAME["run"].wrong(run, error.allowed, error.cure)
        else:
            yield error
    except SlipwayError as error:
        yield BY_NAME["run"].wrong(run, "a file that can be read", str(error))
