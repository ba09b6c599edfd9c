"""Generated pages of a site on own servers are those that roles and the table of ports give; its guide is complete."""

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import click
import lab
import yaml

from infra.onprem import picture, playbooks, ports, reference
from infra.onprem.cli import COMMANDS, onprem

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/onprem.md").read_text()


def test_the_page_of_variables_is_made_from_the_roles():
    page = reference.page()
    assert (ROOT / "docs/reference/onprem.md").read_text() == page
    rows, errors = ports.read(ports.shipped())
    assert not errors
    for row in rows:
        assert f"| {row.words}/{row.protocol} |" in page
    for role in playbooks.ROLES:
        assert f"### Role `{role}`" in page


def test_the_picture_has_every_port_and_is_the_one_in_the_docs():
    made = picture.svg()
    assert (ROOT / "docs/images/onprem.svg").read_text() == made
    words = " ".join(each.text or "" for each in ElementTree.fromstring(made).iter())
    rows, _ = ports.read(ports.shipped())
    for row in rows:
        assert row.words in words, row.name


def test_every_role_that_site_yml_applies_is_known_to_the_checks():
    plays = yaml.safe_load((ROOT / "ansible/site.yml").read_text())
    applied = {role["role"] if isinstance(role, dict) else role for play in plays for role in play.get("roles", ())}
    assert applied == set(playbooks.ROLES)
    # A reboot into a GPU's driver closes the volume of a NAS that trains: it comes before that is opened.
    order = [role["role"] for play in plays for role in play.get("roles", ())]
    assert order.index("nvidia") < order.index("nas_server") < order.index("nas_client") < order.index("trainer")
    checked = (ROOT / "ansible/check.yml").read_text()
    assert set(re.findall(r"\{role: (\w+), for:", checked)) == applied


def test_commands_in_the_guide_are_such():
    """Their names and options; tests of hosts run them."""
    shown = re.findall(r"^(slipway onprem .*)$", GUIDE, re.MULTILINE)
    assert len(shown) > 7
    for line in shown:
        _, _, name, *arguments = shlex.split(line)
        command = onprem.get_command(click.Context(onprem), name)
        command.make_context(name, arguments)


def test_the_guide_shows_every_command():
    assert [name for name in COMMANDS if f"slipway onprem {name}" not in GUIDE] == []


def test_mitogen_is_chosen_as_the_guide_says():
    """What it says are the variables by which tests make a whole site."""
    shown = re.findall(r"^export ANSIBLE_.*$", GUIDE, re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(["set -eu", *shown, "env --null"])
    said = subprocess.run(["bash", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=True).stdout
    given = dict(each.split("=", 1) for each in said.split("\0") if each.startswith("ANSIBLE_"))
    assert given == lab.MITOGEN
    assert Path(given["ANSIBLE_STRATEGY_PLUGINS"], f"{given['ANSIBLE_STRATEGY']}.py").is_file()
