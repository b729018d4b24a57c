"""A fitted probe on disk: safetensors and JSON, no pickle."""

from head2toe.artifacts.folder import load_probe, save_probe
from head2toe.artifacts.saved_probe import SavedProbe

__all__ = ["SavedProbe", "load_probe", "save_probe"]
