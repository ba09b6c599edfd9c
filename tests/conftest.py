"""Before anything imports TensorFlow: the same set-up as the product's. And the order of what takes long."""

from pathlib import Path

from hypothesis import settings

from trainer import backend

backend.prepare()

# On a busy machine any example may take long: a test fails by what it finds, never by the clock.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

LONG = (
    "onprem/test_rehearsal.py",
    "trainer/test_resume.py",
    "trainer/store/test_shared_runs.py",
    "test_docs.py",
    "onprem/test_node.py",
    "trainer/store/test_fault_plans.py",
    "trainer/tuning/test_tune.py",
    "trainer/preemption/test_vanishing_machines.py",
    "trainer/test_clouds.py",
    "envs/test_contract.py",
    "trainer/test_skeleton.py",
    "trainer/agents/test_actor_critic.py",
)
"""Files that take minutes. Each goes to one worker; these begin first, so that none is left to the end alone."""


def pytest_collection_modifyitems(items):
    """Long files first, in that order; all others as they were found."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONG)}
    assert all(path.is_file() for path in ranks)
    items.sort(key=lambda item: ranks.get(item.path, len(LONG)))
