"""Sets TensorFlow up. Call `prepare` before anything else imports it.

TF-Agents 0.19 needs Keras 2 (`TF_USE_LEGACY_KERAS`) and a stand-in for the retired `gym`. XLA keeps what it compiled
in the user's cache folder, so that a second process starts sooner.
"""

import contextlib
import gc
import hashlib
import importlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CACHE_PACKAGES = ("slipway", "tensorflow", "tf-agents", "tf-keras", "tensorflow-probability")
"""What was compiled by other versions of these is not used."""
COLLECT_AFTER = 100_000
"""How many objects are made before Python looks for garbage among them. Its default, 700, suits programs that make few:
to trace a graph makes very many, most of which stay, and all that looking costs processor time."""


def cache_folder() -> Path:
    """Where compiled graphs are kept: one folder for each set of versions and kind of processor."""
    import platformdirs

    versions = [f"{name}-{importlib.metadata.version(name)}" for name in CACHE_PACKAGES]
    key = hashlib.sha256("\n".join([*versions, platform.python_version(), processor()]).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("slipway")) / "xla" / key


def processor() -> str:
    """The processor's model and instruction sets: machine code compiled for one may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return "\n".join(
        next((line for line in lines if line.startswith(name)), "") for name in ("model name", "flags", "Features")
    )


def prepare() -> None:
    """Set environment variables and the `gym` stand-in, and import TensorFlow without its chatter.

    `SLIPWAY_XLA_CACHE=off` leaves compiled graphs out of the cache folder. Without a writable cache folder nothing is
    kept, and nothing fails.
    """
    from envs.adapters import gym_stand_in

    gym_stand_in.install()
    if "tensorflow" in sys.modules:
        return
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    _keep_compiled_graphs()
    with _quiet(), _uncollected():
        importlib.import_module("tensorflow")


def _keep_compiled_graphs() -> None:
    if os.environ.get("SLIPWAY_XLA_CACHE", "").lower() == "off":
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if "tf_xla_persistent_cache_directory" not in flags and os.access(folder, os.W_OK):
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_persistent_cache_directory={folder}".strip()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage among what is made here, now or later: modules stay, and to go through them takes seconds.

    From then on Python looks less often, too (`COLLECT_AFTER`).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold standard error back: while it loads, TensorFlow writes there past every log level. Shown if it fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        shown = os.dup(2)
        try:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(shown, 2)
        except Exception:
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.close(shown)
