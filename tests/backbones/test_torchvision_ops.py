"""torchvision must import whatever its wheel was built for."""

from __future__ import annotations

import subprocess
import sys


def test_timm_imports_after_the_schemas_are_declared() -> None:
    code = (
        "from head2toe.backbones.torchvision_ops import declare_missing_operators as declare\n"
        "first, second = declare(), declare()\n"
        "import torchvision, timm\n"
        "assert not second and timm.__version__ and torchvision.__version__\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
