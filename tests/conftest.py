"""Before anything imports TensorFlow: the same set-up as the product's. And the order of what takes long."""

import gc
import sys
from pathlib import Path

import bare_processes
import pytest
from hypothesis import settings

from trainer import backend

often = gc.get_threshold()
backend.prepare()
# Here Python looks for garbage as often as by itself: what a test leaves open is found in that test, or soon after.
gc.set_threshold(*often)

# On a busy machine any example may take long: a test fails by what it finds, never by the clock.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

LONG = (
    "onprem/test_rehearsal.py",
    "trainer/test_resume.py",
    "trainer/store/test_shared_runs.py",
    "test_docs.py",
    "onprem/test_node.py",
    "onprem/test_rules.py",
    "onprem/test_site_role.py",
    "onprem/test_monitoring.py",
    "onprem/test_driver.py",
    "engine/test_aws_site.py",
    "engine/test_google_site.py",
    "trainer/store/test_fault_plans.py",
    "trainer/tuning/test_tune.py",
    "trainer/preemption/test_vanishing_machines.py",
    "trainer/test_clouds.py",
    "envs/test_contract.py",
    "trainer/test_skeleton.py",
    "trainer/agents/test_actor_critic.py",
    "trainer/test_iteration.py",
)
"""Files that take minutes. Each goes to one worker; these begin first, so that none is left to the end alone."""


@pytest.fixture(autouse=True)
def exported_models_answer_from_forked_processes(request):
    """As `bare_processes` says; what tests the export itself has a fresh process each time."""
    if "trainer.deploy.parity" in sys.modules:
        its_own = request.path.parent.name == "deploy"
        (bare_processes.unpatch if its_own else bare_processes.patch)()


def pytest_collection_modifyitems(items):
    """Long files first, in that order; all others as they were found."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONG)}
    assert all(path.is_file() for path in ranks)
    items.sort(key=lambda item: ranks.get(item.path, len(LONG)))


def pytest_terminal_summary(terminalreporter):
    """What stood behind the tests of sites: not every machine has what shows the most."""
    reports = (report for found in terminalreporter.stats.values() for report in found)
    if any(getattr(report, "nodeid", "").startswith("tests/engine/") for report in reports):
        from backing import lines

        terminalreporter.section("sites in clouds were tested with")
        for line in lines():
            terminalreporter.write_line(line)
