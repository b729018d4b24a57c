"""One thin command for each verb; PyTorch is imported inside them, so that `--help` is quick."""

import sys

try:
    from head2toe.cli.main import main
except KeyboardInterrupt:  # before there is anything that could catch it
    print("error: interrupted", file=sys.stderr)  # noqa: T201 - this is what the user reads
    sys.exit(130)

__all__ = ["main"]
