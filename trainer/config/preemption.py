"""Whose word counts that a machine is about to be lost: a section of the run file."""

from typing import Literal

from pydantic import Field

from trainer.config.section import Section


class Preemption(Section):
    """Who may say that this machine goes; Ctrl-C and SIGTERM always may."""

    watch: Literal["auto", "ec2", "compute-engine", "none"] = Field(
        default="auto",
        description="Whose notices are asked for: EC2's or Compute Engine's; `auto`: those of the cloud that this"
        " machine's firmware names, if it names one.",
    )
    on_rebalance: Literal["save", "stop"] = Field(
        default="save",
        description="At EC2's recommendation to leave a machine, which may come long before a spot notice: `save` a"
        " checkpoint at once and go on, or save it and `stop`.",
    )
