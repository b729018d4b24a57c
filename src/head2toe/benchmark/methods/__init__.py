"""Every method of a comparison, under one interface."""

from head2toe.benchmark.method import Fitted, Method
from head2toe.benchmark.methods.registry import METHODS, methods

__all__ = ["METHODS", "Fitted", "Method", "methods"]
