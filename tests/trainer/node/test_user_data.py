"""The script of the first boot: short, quoted, without a mistake, and one that stops at the step that fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.errors import BadInput
from trainer.node.user_data import MAXIMUM_BYTES, UserData, render

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
SHA256 = "0123456789abcdef" * 4
PEM = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
KEY = f"-----BEGIN PUBLIC KEY-----\n{PEM}\n-----END PUBLIC KEY-----\n"
PLAIN = UserData("s3://bucket/nodes/bundle.tar.gz", SHA256)
FULL = UserData(
    "gs://bucket/bundle.tar.gz",
    SHA256,
    KEY,
    {"trainer_when_done": "scale-in-mig", "trainer_environment": {"A": 'it\'s $HOME `id` "x"'}},
    {"PIP_INDEX_URL": "https://example.org/it's $HOME"},
    "/slipway/nodes",
)


@pytest.mark.parametrize("given", [PLAIN, FULL], ids=["plain", "full"])
def test_it_is_short_and_bash_and_shellcheck_find_nothing(given):
    script = render(given)
    assert len(script.encode()) < MAXIMUM_BYTES
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    if not SHELLCHECK.is_file():
        pytest.skip("shellcheck is not installed: make .venv/.dev")
    done = subprocess.run([SHELLCHECK, "--shell=bash", "-"], input=script, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def parts(script, last):
    """The script up to its steps, then other ones."""
    return script[: script.index('\nmkdir -p "$folder"')] + "\n" + last


def test_values_come_through_the_shell_as_they_are():
    last = 'printf "%s" "$PIP_INDEX_URL"; declare -f configure'
    done = subprocess.run(["bash"], input=parts(render(FULL), last), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("https://example.org/it's $HOME")
    shown = done.stdout.split("--extra-vars ")[-1].split(' "$folder')[0]
    value = subprocess.run(["bash", "-c", f"printf %s {shown}"], capture_output=True, text=True, check=True).stdout
    assert value == ('{"trainer_environment": {"A": "it\'s $HOME `id` \\"x\\""}, "trainer_when_done": "scale-in-mig"}')


def test_a_step_that_fails_stops_it_and_is_named():
    last = 'one() { false; echo "went on"; }\nstep "the first step" one\nstep "the second step" true\n'
    done = subprocess.run(["bash"], input=parts(render(PLAIN), last), capture_output=True, text=True)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert done.stderr.splitlines() == [
        "slipway-node: the first step",
        "slipway-node: the first step: failed with exit code 1",
    ]


def test_a_step_that_fails_is_told_to_the_clouds_log(tmp_path):
    (tmp_path / "instance.py").write_text("import sys; print(sys.argv[1:])")
    script = render(FULL).replace("folder=/var/lib/slipway-node", f"folder={tmp_path}")
    done = subprocess.run(["bash"], input=parts(script, 'step "a step" false\n'), capture_output=True, text=True)
    assert done.returncode == 1
    message = "first boot: a step: failed with exit code 1"
    assert done.stdout == f"{['report', 'gs', '/slipway/nodes', message, f'{tmp_path}/first-boot.log']}\n"


def test_the_program_in_it_is_the_tested_one(tmp_path):
    """What lies in the script between its marks is the file, byte for byte."""
    script = render(PLAIN)
    inside = script.split("<<'PYTHON'\n")[1].split("\nPYTHON\n")[0]
    assert inside == (Path(__file__).parents[3] / "trainer/node/instance.py").read_text().strip()


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("bundle_uri", {"bundle_uri": "https://bucket/bundle.tar.gz"}),
        ("bundle_uri", {"bundle_uri": "s3://bucket/$(id).tar.gz"}),
        ("bundle_sha256", {"bundle_sha256": "0" * 63}),
        ("public_key", {"public_key": "KEY\nid\n"}),
        ("variables", {"environment": {"A;id": "x"}}),
        ("log", {"log": "it's"}),
        ("variables", {"variables": {"a b": "x"}}),
    ],
)
def test_what_no_script_can_hold_is_refused(field, given):
    with pytest.raises(BadInput) as raised:
        UserData(**{"bundle_uri": PLAIN.bundle_uri, "bundle_sha256": SHA256, **given})
    assert raised.value.field == field


def test_more_than_ec2_takes_is_refused():
    with pytest.raises(BadInput, match="at most 16384 bytes"):
        render(UserData(PLAIN.bundle_uri, SHA256, variables={"a": os.urandom(6000).hex()}))
