"""The measurements of stores alone."""

from benchmarks import run
from benchmarks.stores import KINDS

run.main(KINDS, "python -m benchmarks.stores")
