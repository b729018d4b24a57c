"""A fitted probe on disk: safetensors and JSON, no pickle."""

from head2toe.artifacts.folder import check_output, check_writable, load_probe, probe_bytes, save_probe
from head2toe.artifacts.saved_probe import SavedProbe

__all__ = ["SavedProbe", "check_output", "check_writable", "load_probe", "probe_bytes", "save_probe"]
