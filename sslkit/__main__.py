"""Makes `python -m sslkit` the same as the `sslkit` command."""

import sys

from sslkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
