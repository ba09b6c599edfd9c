"""Bundles: the same bytes for the same input, whole, signed so that a bare machine can tell, and refused otherwise."""

import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from trainer.bundle import archive, build, wheel, wheelhouse
from trainer.cli import application
from trainer.config import load, yaml_text
from trainer.errors import SlipwayError

ROOT = Path(__file__).parents[3]
UV = ROOT / ".tools/bin/uv"


def slipway(*arguments):
    return application.run([str(argument) for argument in arguments])


@pytest.fixture
def keys(tmp_path):
    """A pair of keys as OpenSSL makes it."""
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


@pytest.fixture
def bundle(tmp_path, keys):
    out = tmp_path / "bundle.tar.gz"
    assert slipway("bundle", "cartpole-ppo", "--out", out, "--sign", keys[0]) == 0
    return out


def test_the_same_input_gives_the_same_bytes(bundle, keys, tmp_path):
    (tmp_path / "again").mkdir()
    again = tmp_path / "again" / bundle.name
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-m", "trainer", "bundle", "cartpole-ppo", "--out", again, "--sign", keys[0]]
    subprocess.run(["bash", "-c", 'umask 027; exec "$@"', "bash", *command], env=environment, check=True)
    for find in (Path, build.checksum_path, build.signature_path):
        assert find(again).read_bytes() == find(bundle).read_bytes()
    other = tmp_path / "other.tar.gz"
    assert slipway("bundle", "cartpole-ppo", "--seed", 1, "--out", other) == 0
    assert other.read_bytes() != bundle.read_bytes()


def test_it_holds_what_a_node_needs_and_nothing_of_this_machine(bundle):
    with tarfile.open(bundle) as opened:
        members = {member.name: member for member in opened}
        content = {name: opened.extractfile(member).read() for name, member in members.items()}
    assert {(member.uid, member.gid, member.mtime, member.mode) for member in members.values()} == {(0, 0, 0, 0o644)}
    assert {member.uname for member in members.values()} == {""}
    manifest = json.loads(content.pop("manifest.json"))
    assert manifest["files"] == {name: archive.sha256(data) for name, data in content.items()}
    assert manifest["run_id"].startswith("cartpole-ppo-")
    assert {"run.yaml", "requirements.txt", "node-requirements.txt", "ansible/node.yml", manifest["wheel"]} < set(
        content
    )
    assert any(name.startswith("ansible/roles/trainer/tasks/") for name in content)
    assert load.validate(yaml_text.parse(content["run.yaml"].decode(), "run.yaml")).seed == 0
    assert str(ROOT).encode() not in b"".join(content.values())


def test_tools_of_a_bare_machine_verify_it(bundle, keys):
    subprocess.run(["sha256sum", "--check", "--strict", f"{bundle.name}.sha256"], cwd=bundle.parent, check=True)
    checksum, signature = build.checksum_path(bundle), build.signature_path(bundle)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", keys[1], "-sigfile", signature]
    subprocess.run([*command, "-in", checksum], check=True)
    checksum.write_bytes(checksum.read_bytes().replace(b"a", b"b", 1))
    assert subprocess.run([*command, "-in", checksum], check=False).returncode != 0


def test_a_group_is_trained_from_a_bundle_as_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "bundle.tar.gz"
    assert slipway("bundle", "cartpole-ppo", "--seeds", 3, "--out", out) == 0
    capsys.readouterr()
    assert slipway("bundle", "--check", out, "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["seeds"] == 3
    assert manifest["run_id"].startswith("cartpole-ppo-3-seeds-")


def test_a_bundle_for_a_queue_has_no_run(tmp_path, capsys):
    out = tmp_path / "site.tar.gz"
    assert slipway("bundle", "--no-run", "--gpu", "--out", out) == 0
    assert slipway("bundle", "--check", out) == 0
    assert "is whole: no run, slipway" in capsys.readouterr().out
    with tarfile.open(out) as opened:
        manifest = json.load(opened.extractfile("manifest.json"))
        assert "run.yaml" not in opened.getnames()
    assert (manifest["run_id"], manifest["seeds"], manifest["gpu"]) == (None, None, True)
    assert "run.yaml" not in manifest["files"]
    for more in (["cartpole-ppo"], ["--run-id", "a"], ["--seed", 0]):
        assert slipway("bundle", "--no-run", *more, "--out", tmp_path / "other.tar.gz") == 2
        assert capsys.readouterr().err.startswith("slipway: --no-run: 'a run' is not allowed\n")


def test_the_role_takes_the_format_that_is_made():
    variables = yaml.safe_load((ROOT / "ansible/roles/trainer/vars/main.yml").read_text())
    assert variables["trainer_format"] == build.FORMAT


def test_check_says_what_was_checked(bundle, keys, capsys):
    assert slipway("bundle", "--check", bundle) == 0
    assert "the signature was not looked at" in capsys.readouterr().out
    assert slipway("bundle", "--check", bundle, "--key", keys[1]) == 0
    assert "signed by the holder" in capsys.readouterr().out
    assert slipway("bundle", "--check", bundle, "--json") == 0
    assert json.loads(capsys.readouterr().out)["format"] == build.FORMAT


def refused(capsys, *arguments):
    """The one message of a refusal: exit code 2, nothing on standard output, no traceback."""
    assert slipway(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"(slipway: )?.+ is not allowed\n  allowed: .+\n  fix:     .+\n", said.err), said.err
    return said.err


def rewrite(bundle, change):
    """The bundle with other content, and a checksum that fits it."""
    with tarfile.open(bundle) as opened:
        content = {member.name: opened.extractfile(member).read() for member in opened}
    change(content)
    with bundle.open("wb") as file:
        archive.pack(content, file)
    build.checksum_path(bundle).write_text(f"{archive.sha256(bundle)}  {bundle.name}\n")


@pytest.mark.parametrize("place", [0, 1000, -9])
def test_a_changed_bit_is_found(place, bundle, capsys):
    data = bytearray(bundle.read_bytes())
    data[place] ^= 1
    bundle.write_bytes(data)
    assert "of the sha256 in bundle.tar.gz.sha256" in refused(capsys, "bundle", "--check", bundle)


def test_a_changed_file_with_a_checksum_that_fits_is_found(bundle, keys, capsys):
    rewrite(bundle, lambda content: content.update({"run.yaml": b"env: {id: x}\n"}))
    assert "run.yaml differ" in refused(capsys, "bundle", "--check", bundle)
    assert "private key signed" in refused(capsys, "bundle", "--check", bundle, "--key", keys[1])


def test_a_bundle_of_another_slipway_is_refused(bundle, capsys):
    def change(content):
        content["manifest.json"] = json.dumps({**json.loads(content["manifest.json"]), "format": 99}).encode()

    rewrite(bundle, change)
    said = refused(capsys, "bundle", "--check", bundle)
    assert f"a bundle of format {build.FORMAT}; this has 99" in said
    assert "use the version of slipway that made it" in said
    rewrite(bundle, lambda content: content.pop("manifest.json"))
    assert "it has no manifest" in refused(capsys, "bundle", "--check", bundle)


def test_a_file_more_or_less_is_found(bundle, capsys):
    rewrite(bundle, lambda content: content.update({"more": b""}))
    assert "more differ" in refused(capsys, "bundle", "--check", bundle)
    rewrite(bundle, lambda content: [content.pop(name) for name in ("more", "requirements.txt")])
    assert "requirements.txt differ" in refused(capsys, "bundle", "--check", bundle)


def test_a_file_outside_the_archive_is_refused(bundle, capsys):
    rewrite(bundle, lambda content: content.update({"../outside": b""}))
    assert "no file below its own top" in refused(capsys, "bundle", "--check", bundle)


def test_another_key_is_refused(bundle, keys, tmp_path, capsys):
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True)
    subprocess.run(["openssl", "pkey", "-in", other, "-pubout", "-out", keys[1]], check=True)
    assert "private key signed" in refused(capsys, "bundle", "--check", bundle, "--key", keys[1])


def test_what_is_missing_is_named(bundle, keys, capsys):
    build.signature_path(bundle).unlink()
    assert "bundle.tar.gz.sha256.sig" in refused(capsys, "bundle", "--check", bundle, "--key", keys[1])
    build.checksum_path(bundle).unlink()
    assert "bundle.tar.gz.sha256'" in refused(capsys, "bundle", "--check", bundle)


WRONG = {
    "no run file": ([], "RUNFILE"),
    "no such preset": (["cartpole-pp"], "write cartpole-ppo"),
    "run file with a mistake": (["cartpole-ppo", "--set", "agent.discount=2"], "agent.discount"),
    "more seeds than there are": (["cartpole-ppo", "--seed", str((1 << 30) - 1), "--seeds", "2"], "--seeds"),
    "run id": (["cartpole-ppo", "--run-id", "../x"], "--run-id"),
    "no such key": (["cartpole-ppo", "--sign", "none.pem"], "No such file"),
    "no key": (["cartpole-ppo", "--sign", "no-key.pem"], "without a pass phrase"),
    "RSA": (["cartpole-ppo", "--sign", "rsa.pem"], "an Ed25519 private key"),
    "key with a pass phrase": (["cartpole-ppo", "--sign", "locked.pem"], "without a pass phrase"),
    "key that others may read": (["cartpole-ppo", "--sign", "open.pem"], "chmod 600"),
    "public key without a check": (["cartpole-ppo", "--key", "pub.pem"], "--sign KEY"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_once_and_nothing_is_written(case, keys, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("no-key.pem").write_text("no key\n")
    shutil.copy(keys[0], "open.pem")
    Path("open.pem").chmod(0o640)
    openssl = ["openssl", "genpkey", "-algorithm"]
    if case == "RSA":
        subprocess.run([*openssl, "rsa", "-out", "rsa.pem"], check=True, stderr=subprocess.DEVNULL)
    if case == "key with a pass phrase":
        subprocess.run([*openssl, "ed25519", "-aes256", "-pass", "pass:x", "-out", "locked.pem"], check=True)
    before = sorted(tmp_path.iterdir())
    arguments, expected = WRONG[case]
    assert expected in refused(capsys, "bundle", *arguments, "--out", "bundle.tar.gz")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("out", "allowed"),
    [
        ("bundle.zip", "ends in .tar.gz"),
        ("none/bundle.tar.gz", "a folder that can be written"),
        ("file/bundle.tar.gz", "a folder that can be written"),
        ("there.tar.gz", "not there yet"),
        ("x" * 300 + ".tar.gz", "a name of at most 244 bytes"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(out, allowed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("there.tar.gz").write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert allowed in refused(capsys, "bundle", "cartpole-ppo", "--out", out)
    assert sorted(tmp_path.iterdir()) == before
    assert Path("there.tar.gz").read_text() == "mine"


def test_a_check_is_a_command_of_its_own(bundle, capsys):
    assert "--check with --key alone" in refused(capsys, "bundle", "cartpole-ppo", "--check", bundle)
    assert "--out" in refused(capsys, "bundle", "cartpole-ppo")


def test_a_full_disk_leaves_nothing_behind(tmp_path, capsys):
    if os.geteuid():
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], check=True)
    try:
        assert slipway("bundle", "cartpole-ppo", "--out", disk / "bundle.tar.gz") == 1
        assert "No space left on device" in capsys.readouterr().err
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_wheel_is_rebuilt_from_its_own_installation(tmp_path):
    """A user without a clone makes the same wheel, with the playbook in it."""
    name, data = wheel.build()
    path = tmp_path / name
    path.write_bytes(data)
    with zipfile.ZipFile(path) as opened:
        assert {stat.S_IMODE(entry.external_attr >> 16) for entry in opened.infolist()} == {0o644}
        names = opened.namelist()
        assert "trainer/bundle/ansible/node.yml" in names
        assert "trainer/bundle/requirements/trainer.txt" in names
        assert "trainer/config/presets/cartpole-ppo.yaml" in names
        assert "envs/py.typed" in names
        assert not [each for each in names if "__pycache__" in each or each.startswith("tests")]
    site = tmp_path / "site"
    installed = ["--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "pip"], check=True)
    subprocess.run([tmp_path / "pip/bin/python", "-m", "pip", "install", *installed, str(path)], check=True)
    code = (
        "import sys, trainer, pathlib; from trainer.bundle import wheel\n"
        "assert trainer.__file__.startswith(sys.argv[1])\n"
        "pathlib.Path(sys.argv[2]).write_bytes(wheel.build()[1])"
    )
    again = tmp_path / "again.whl"
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    subprocess.run([sys.executable, "-c", code, str(site), str(again)], env=environment, cwd=tmp_path, check=True)
    assert again.read_bytes() == data


def test_nothing_of_a_site_s_is_in_the_wheel(tmp_path, monkeypatch):
    """An operator keeps inventories where the example is: nodes get none, and know of no change of one."""
    before = wheel.build()
    copied = shutil.copytree(wheel.PLAYBOOKS, tmp_path / "ansible")
    for name in (
        "inventory/prod/secrets/ca.key", "inventory/prod/hosts.yml", "inventory/prod/proofs/gpu-1.json", "hosts.yml",
        "group_vars/all/vault.yml", "node.retry", ".vault-password", "roles/trainer/files/.gpu_devices.sh.swp",
        "roles/nvidia/tasks/more.yml",
    ):  # fmt: skip
        (copied / name).parent.mkdir(parents=True, exist_ok=True)
        (copied / name).write_text("secret")
    monkeypatch.setattr(wheel, "PLAYBOOKS", copied)
    assert wheel.build() == before
    with zipfile.ZipFile(io.BytesIO(before[1])) as opened:
        names = [name.removeprefix("trainer/bundle/ansible/") for name in opened.namelist() if "/ansible/" in name]
    assert "roles/trainer/tasks/main.yml" in names
    assert [name for name in names if name != "node.yml" and not name.startswith("roles/trainer/")] == []


@pytest.mark.parametrize("name", ["trainer", "trainer-gpu", "node"])
def test_requirements_are_those_of_the_lock_file(name):
    """`make requirements` would change nothing."""
    shown = subprocess.run(["make", "-n", "requirements"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = next(line for line in shown.splitlines() if line.endswith(f"/{name}.txt"))
    exported = subprocess.run(command.split(" > ")[0].split(), cwd=ROOT, capture_output=True, text=True, check=True)
    kept = (ROOT / f"trainer/bundle/requirements/{name}.txt").read_text()
    assert exported.stdout == kept
    pins = [line for line in kept.splitlines() if not line.startswith(" ")]
    assert pins
    assert all("==" in line and line.endswith("\\") for line in pins)


def test_wheels_come_into_a_bundle_for_nodes_without_an_index(tmp_path, monkeypatch):
    """One wheel stands for all; pip takes it from a folder, as its settings say."""
    shelf, got = tmp_path / "shelf", tmp_path / "got"
    shelf.mkdir()
    got.mkdir()
    name, data = wheel.build()
    (shelf / name).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    line = f"slipway=={name.split('-')[1]} --hash=sha256:{archive.sha256(data)}\n"
    assert [path.name for path in wheelhouse.download([line], got)] == [name]
    wrong = line.replace(archive.sha256(data), "0" * 64)
    with pytest.raises(SlipwayError, match="cannot download the wheels: pip: "):
        wheelhouse.download([wrong], got)


@pytest.mark.parametrize("level", [archive.STORED, archive.FAST])
def test_names_as_long_as_those_of_wheels_fit_into_an_archive(level, tmp_path):
    content = {f"wheelhouse/{'x' * 200}.whl": b"data", "short": b""}
    packed = []
    for name in ("one", "two"):
        with (tmp_path / name).open("wb") as file:
            archive.pack(content, file, level)
        packed.append((tmp_path / name).read_bytes())
    assert packed[0] == packed[1]
    assert {name: file.read() for name, file in archive.unpack(tmp_path / "one")} == content
    listed = subprocess.run(["tar", "tzf", tmp_path / "one"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == sorted(content)
