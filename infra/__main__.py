"""The Pulumi program: `pulumi up` runs this file."""

from infra.program import main

if __name__ == "__main__":
    main()
