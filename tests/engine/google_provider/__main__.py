"""A provider's process: `python -m google_provider PACKAGE [ENGINE]` says at which port it listens, and serves."""

import sys

from google_provider.provider import serve
from google_provider.world import World


def main() -> None:
    """Serve until the engine ends this process."""
    package, *rest = sys.argv[1:]
    addresses = [each for each in rest if not each.startswith("-")]
    server, port = serve(package, World.of_environment(), addresses[0] if addresses else "")
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
