"""All that lies below ansible/: style, syntax, and that each role describes its variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ANSIBLE = Path(__file__).parents[2] / "ansible"
BIN = Path(sys.executable).parent
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir())
PLAYBOOKS = sorted(path.name for path in ANSIBLE.glob("*.yml"))
MADE_OF_OTHERS = {"trainer": {"trainer_manifest"}}
"""Defaults that nobody is meant to set: they follow from others."""


def run(*command):
    """Run a tool of Ansible's in the folder of the playbooks; what it said."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ANSIBLE, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_yamllint_has_nothing_to_say():
    assert run("yamllint", "--strict", ".") == ""


@pytest.mark.slow
def test_ansible_lint_finds_them_fit_for_production():
    said = run("ansible-lint", "--offline", "--strict", "--profile", "production")
    assert "Passed: 0 failure(s), 0 warning(s)" in said


def test_playbooks_have_no_mistake_of_syntax():
    said = run("ansible-playbook", "--inventory", "localhost,", "--syntax-check", *PLAYBOOKS)
    assert [f"playbook: {each}" in said for each in PLAYBOOKS] == [True] * len(PLAYBOOKS)


def specs(role):
    return yaml.safe_load((ANSIBLE / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]


@pytest.mark.parametrize("role", ROLES)
def test_roles_describe_exactly_their_variables(role):
    defaults = yaml.safe_load((ANSIBLE / f"roles/{role}/defaults/main.yml").read_text())
    options = specs(role)["main"]["options"]
    assert defaults.keys() - options.keys() == MADE_OF_OTHERS.get(role, set())
    assert [name for name in options.keys() - defaults.keys() if "default" in options[name]] == []
    assert [name for name in options if not name.startswith(f"{role}_")] == []
    for name, option in options.items():
        assert option["description"], name
        assert {"type", "choices", "default"} & option.keys(), name
        # A default that is made from others is told in words.
        if "default" in option and "{{" not in str(defaults[name]) and not isinstance(defaults[name], dict):
            assert option["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_what_a_role_here_has(role):
    folder = ANSIBLE / "roles" / role
    for name in ("README.md", "meta/main.yml", "tasks/main.yml"):
        assert (folder / name).is_file(), name
    assert set(specs(role)["main"]["options"][f"{role}_state"]["choices"]) >= {"present", "absent"}
    depends = {each["role"] for each in yaml.safe_load((folder / "meta/main.yml").read_text())["dependencies"]}
    assert depends == (set() if role in {"site", "trainer"} else {"site"})


@pytest.mark.parametrize("role", [role for role in ROLES if role != "site"])
def test_every_role_is_applied_and_removed(role):
    for name in ("site.yml", "teardown.yml"):
        plays = yaml.safe_load((ANSIBLE / name).read_text())
        assert role in {each["role"] for play in plays for each in play.get("roles", [])}, name
    removing = next(play for play in plays if role in {each["role"] for each in play.get("roles", [])})
    assert removing["vars"][f"{role}_state"] == "absent"
