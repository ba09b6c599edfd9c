"""What ends or hurries a run from outside: signals, and the notices of the clouds that lend machines.

`Preemption` is what the training looks at; everything else here serves it.
"""

from trainer.preemption.notice import Notice, Preempted
from trainer.preemption.preemption import Preemption

__all__ = ["Notice", "Preempted", "Preemption"]
