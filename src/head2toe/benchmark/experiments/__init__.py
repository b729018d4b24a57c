"""Every experiment behind the paper's figures: its data as CSV, its figure as SVG and PNG."""

from head2toe.benchmark.experiments.registry import NAMES, TRAINING, find

__all__ = ["NAMES", "TRAINING", "find"]
