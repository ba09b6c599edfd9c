"""`python -m trainer` is `slipway`."""

import sys

from trainer.cli import main

if __name__ == "__main__":
    sys.exit(main())
