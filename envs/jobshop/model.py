"""The job-shop task's parameters and what they describe. Imports no TensorFlow."""

import dataclasses

from envs.jobshop import jsplib, library
from envs.jobshop.schedule import Instance
from envs.parameters import ParameterOutOfRange, parameter, text

LONGEST_UNITS = 99
"""Durations of random instances are uniform on 1 to this (Taillard 1993)."""
NAMED = f"empty, one of {', '.join(library.names())}, or the path of a file in JSPLIB's format"


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the job-shop task.

    Raises:
        ParameterOutOfRange: if `instance` names nothing, or a file that holds no instance.
    """

    jobs: int = parameter(6, "Jobs of a random instance.", 1, jsplib.MOST_JOBS)
    machines: int = parameter(6, "Machines of a random instance.", 1, jsplib.MOST_MACHINES)
    instance: str = text(
        "", "The instance to schedule, which brings its own jobs and machines; empty: random ones.", NAMED
    )
    delay: float = parameter(
        0.0,
        "How long a machine may wait for a job, as a share of the longest wait that can be of use; 0: not at all.",
        0.0,
        1.0,
    )
    episode_dispatches: int = parameter(
        0, "Steps after which an episode is cut; 0: it ends when all operations are scheduled.", 0, 10**6
    )
    forced_dispatches: int = parameter(
        0, "How many dispatches that leave no choice a step makes by itself after its own, at most.", 0, 16
    )

    def __post_init__(self) -> None:
        fixed_instance(self)


def fixed_instance(params: Params) -> Instance | None:
    """The instance that the parameters name; None if each episode draws one.

    Raises:
        ParameterOutOfRange: if the name is none, or of a file that cannot be read or holds no instance.
    """
    name = params.instance
    if not name:
        return None
    if name in library.names():
        return library.named(name)
    try:
        return library.read(name)
    except jsplib.Malformed as fault:
        place = f"{name}, line {fault.line}, column {fault.column}: {fault.found}"
        raise ParameterOutOfRange("instance", place, fault.allowed) from None
    except UnicodeError:
        raise ParameterOutOfRange("instance", f"{name}, which is no text", NAMED) from None
    except OSError:
        raise ParameterOutOfRange("instance", name, NAMED) from None


def size(params: Params) -> tuple[int, int]:
    """Jobs and machines of the instances."""
    found = fixed_instance(params)
    return (params.jobs, params.machines) if found is None else (found.jobs, found.machine_count)
