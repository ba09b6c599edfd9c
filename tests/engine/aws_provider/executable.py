"""Where the executable of the Terraform AWS provider is: found on this machine, or fetched by `terraform init`."""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VERSION = "5.100.0"
"""The last of major version 5: what a suite shows must not depend on which one a machine happens to have."""

FETCHED = Path(__file__).parents[3] / ".tools" / "terraform"
"""Where `fetch` puts it."""

SECONDS = 300
"""How long fetching may take: it is 700 MB large."""

CONFIGURATION = f"""
terraform {{
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = "{VERSION}"
    }}
  }}
}}
"""


def folders() -> Iterator[Path]:
    """The folders in which Terraform keeps providers."""
    if "TF_PLUGIN_CACHE_DIR" in os.environ:
        yield Path(os.environ["TF_PLUGIN_CACHE_DIR"])
    yield Path.home() / ".terraform.d"
    yield Path("/opt/tf-plugins")
    yield FETCHED


@functools.cache
def find() -> Path | None:
    """The executable; None: this machine has none."""
    pattern = f"**/registry.terraform.io/hashicorp/aws/{VERSION}/*/terraform-provider-aws_v{VERSION}*"
    found = (path for folder in folders() if folder.is_dir() for path in folder.glob(pattern))
    return next((path for path in found if os.access(path, os.X_OK)), None)


def fetch() -> None:
    """Fetch it.

    Raises:
        OSError: Terraform is not installed.
        subprocess.SubprocessError: Terraform says why not.
    """
    FETCHED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.tf").write_text(CONFIGURATION)
        environment = {**os.environ, "TF_PLUGIN_CACHE_DIR": str(FETCHED), "CHECKPOINT_DISABLE": "1"}
        subprocess.run(
            ["terraform", "init", "-no-color", "-input=false"],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )


def main() -> None:
    """Find it, else fetch it, else say that tests will do without."""
    if find() is None:
        try:
            fetch()
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            print(f"make: no terraform-provider-aws {VERSION}, so AWS is tested without it: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
