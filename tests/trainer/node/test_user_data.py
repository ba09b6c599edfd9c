"""The script of the first boot: short, quoted, without a mistake, and one that stops at the step that fails."""

import ast
import dataclasses
import json
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
LEAVES = UserData("gs://bucket/nodes/bundle.tar.gz", SHA256, log="/slipway/nodes", when_failed="scale-in")
FULL = UserData(
    "gs://bucket/bundle.tar.gz",
    SHA256,
    KEY,
    {"trainer_when_done": "scale-in-mig", "trainer_environment": {"A": 'it\'s $HOME `id` "x"'}},
    {"PIP_INDEX_URL": "https://example.org/it's $HOME"},
    "/slipway/nodes",
    "scale-in",
)


@pytest.mark.parametrize("given", [PLAIN, LEAVES, FULL], ids=["plain", "leaves", "full"])
def test_it_is_short_and_bash_and_shellcheck_find_nothing(given):
    script = render(given)
    assert len(script.encode()) < MAXIMUM_BYTES - 2000  # for longer addresses and more variables
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    if not SHELLCHECK.is_file():
        pytest.skip("shellcheck is not installed: make .venv/.dev")
    done = subprocess.run([SHELLCHECK, "--shell=bash", "-"], input=script, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def parts(script, last):
    """The script up to its steps, then other ones."""
    return script[: script.index('\nif [ "${1-}" = steps ]')] + "\n" + last


def test_values_come_through_the_shell_as_they_are():
    last = 'printf "%s" "$PIP_INDEX_URL"; declare -f configure'
    done = subprocess.run(["bash"], input=parts(render(FULL), last), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("https://example.org/it's $HOME")
    shown = done.stdout.split("--extra-vars ")[-1].split(' "$folder')[0]
    value = subprocess.run(["bash", "-c", f"printf %s {shown}"], capture_output=True, text=True, check=True).stdout
    assert value == ('{"trainer_environment": {"A": "it\'s $HOME `id` \\"x\\""}, "trainer_when_done": "scale-in-mig"}')


SYSTEMCTL = """#!/bin/bash
case "$*" in
  *is-active*) [ "$trains" = yes ] ;;
  is-system-running) echo "${state-running}" ;;
  *) echo "systemctl $*" >> "$asked" ;;
esac
"""
"""Stands in for systemd's: says what the test wants, and writes down what it is asked to do."""


@pytest.fixture
def boot(tmp_path, monkeypatch):
    """Runs a script from its beginning to its end, but for what its steps do, on something like a machine."""
    folder = tmp_path / "node"
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    monkeypatch.setenv("asked", f"{tmp_path}/asked")
    monkeypatch.setenv("trains", "no")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin/systemctl").chmod(0o755)
    (tmp_path / "uuid").write_text("ec2f0a3e\n")

    def run(given, steps, *changes):
        text = render(given)
        first, last = text.index('  step "install Python'), text.index("  exit\nfi")
        text = f"{text[:first]}{steps}\n{text[last:]}"
        places = {
            "folder=/var/lib/slipway-node": f"folder={folder}",
            "/sys/class/dmi/id/product_uuid": f"{tmp_path}/uuid",
            "for pause in 20 40 0": "for pause in 0 0 0",
        }
        for old, new in (*places.items(), *changes):
            text = text.replace(old, new)
        script = tmp_path / "user data.sh"
        script.write_text(text)
        done = subprocess.run(["bash", script], capture_output=True, text=True)
        asked = tmp_path / "asked"
        done.asked = asked.read_text().splitlines() if asked.exists() else []
        return done

    run.folder = folder
    return run


def test_a_step_that_fails_stops_it_and_is_named(boot):
    steps = 'one() { false; echo "went on"; }\nstep "the first step" one\nstep "the second step" true'
    done = boot(PLAIN, steps)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert done.stderr.splitlines() == [
        "slipway-node: the first step",
        "slipway-node: the first step: failed with exit code 1",
    ]
    assert done.asked == []


def test_a_step_that_does_not_fail_is_followed_by_the_next(boot):
    done = boot(PLAIN, 'step "the first step" true\nstep "the second step" echo "went on"')
    assert (done.returncode, done.stdout) == (0, "went on\n")
    said = ["the first step", "the second step", "done"]
    assert done.stderr.splitlines() == [f"slipway-node: {each}" for each in said]


@pytest.fixture
def cloud(gce, service, monkeypatch):
    """The APIs that a machine of Compute Engine calls; a code other than 200 can be set for its group's."""
    codes = {}
    gce |= {"id": "812", "/computeMetadata/v1/project/project-id": "project"}

    def answer(method, path, headers):
        assert headers["Authorization"] == "Bearer the-token"
        return codes.get(path.split("/")[-1], 200), b"{}"

    api = service(answer)
    api.codes = codes
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{api.url}/compute/v1/")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", api.url)
    api.calls = lambda: [path.split("/")[-1] for _, path, _, _ in api.requests]
    api.told = lambda: json.loads(api.requests[0][3])["entries"][0]["jsonPayload"]
    return api


@pytest.mark.parametrize(
    ("steps", "code", "said"),
    [
        ('step "a step" sh -c "exit 1"', 1, "a step: failed with exit code 1"),
        ('step "check" refuse "it is not signed"', 2, "check: failed with exit code 2"),
        ('step "a step" true\nkill -KILL $$', 137, "a step: failed with exit code 137"),
        ('step "a step" sleep 60', 124, "a step: the first boot takes longer than 60 minutes"),
    ],
    ids=["fails", "refuses", "is-killed", "hangs"],
)
def test_a_first_boot_that_fails_is_told_and_the_machine_leaves_its_group(boot, cloud, steps, code, said):
    done = boot(LEAVES, steps, *[("limit_seconds=3600", "limit_seconds=5")] * (code == 124))
    assert done.returncode == code
    assert done.stderr.splitlines()[-2:] == [
        f"slipway-node: {said}",
        "trainers-x7k2 leaves its managed instance group",
    ]
    assert cloud.calls() == ["entries:write", "deleteInstances"]
    assert cloud.told()["message"] == f"first boot: {said}"
    assert cloud.told()["said"].endswith(f"slipway-node: {said}\n")
    assert done.asked == []


def test_a_first_boot_that_fails_is_told_and_the_machine_stays_where_that_is_wanted(boot, cloud):
    done = boot(dataclasses.replace(LEAVES, when_failed="nothing"), 'step "a step" false')
    assert done.returncode == 1
    assert cloud.calls() == ["entries:write"]
    assert done.asked == []


def test_a_machine_that_may_not_leave_its_group_says_so_and_is_switched_off(boot, cloud):
    cloud.codes["deleteInstances"] = 403
    done = boot(LEAVES, 'step "a step" false')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-4:] == [
        *["cannot leave the group: HTTPError: HTTP Error 403: Forbidden"] * 3,
        "slipway-node: the machine stays in its group, and is switched off",
    ]
    assert done.asked == ["systemctl --no-block poweroff"]


def test_a_machine_that_cannot_even_begin_is_switched_off(boot, cloud):
    boot.folder.write_text("a file in the way")
    done = boot(LEAVES, 'step "a step" true')
    assert done.returncode == 1
    assert cloud.calls() == []
    assert done.asked == ["systemctl --no-block poweroff"]


@pytest.mark.parametrize("why", ["trains", "was-a-node", "goes-down"])
def test_a_machine_that_is_no_failed_first_boot_stays(why, boot, cloud, monkeypatch):
    """Compute Engine runs the script at every boot."""
    monkeypatch.setenv("trains", "yes" if why == "trains" else "no")
    monkeypatch.setenv("state", "stopping" if why == "goes-down" else "running")
    if why == "was-a-node":
        assert boot(LEAVES, 'step "a step" true').returncode == 0
    assert boot(LEAVES, 'step "a step" false').returncode == 1
    assert cloud.calls() == ["entries:write"]


def test_an_image_of_a_node_makes_other_machines(boot, cloud, tmp_path):
    assert boot(LEAVES, 'step "a step" true').returncode == 0
    (tmp_path / "uuid").write_text("another\n")
    boot(LEAVES, 'step "a step" false')
    assert cloud.calls() == ["entries:write", "deleteInstances"]


def test_the_program_in_it_is_the_tested_one_but_for_what_is_no_code():
    inside = render(PLAIN).split("<<'PYTHON' || failed $?\n")[1].split("\nPYTHON\n")[0]
    file = (Path(__file__).parents[3] / "trainer/node/instance.py").read_text()
    assert code_of(inside) == code_of(file)
    assert '"""' not in inside


def code_of(program):
    """What Python makes of a program, without its texts."""
    return ast.dump(Bare().visit(ast.parse(program)))


class Bare(ast.NodeTransformer):
    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) else node


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("bundle_uri", {"bundle_uri": "https://bucket/bundle.tar.gz"}),
        ("bundle_uri", {"bundle_uri": "s3://bucket/$(id).tar.gz"}),
        ("bundle_sha256", {"bundle_sha256": "0" * 63}),
        ("public_key", {"public_key": "KEY\nid\n"}),
        ("variables", {"environment": {"A;id": "x"}}),
        ("log", {"log": "it's"}),
        ("when_failed", {"when_failed": "power-off"}),
        ("limit_minutes", {"limit_minutes": 0}),
        ("limit_minutes", {"limit_minutes": 1441}),
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
