"""One thin command for each verb; PyTorch is imported inside them, so that `--help` is quick."""

from head2toe.cli.main import main

__all__ = ["main"]
