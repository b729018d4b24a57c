"""torchvision must import whatever its wheel was built for."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> None:
    """In a process of its own: what is declared cannot be taken back."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_timm_imports_after_the_schemas_are_declared() -> None:
    run(
        "import sys\n"
        "from head2toe.backbones.torchvision_ops import declare_missing_operators as declare\n"
        "assert 'torchvision' not in sys.modules\n"
        "first, second = declare(), declare()\n"
        "import torchvision, timm\n"
        "assert not second and timm.__version__ and torchvision.__version__\n"
    )


def test_timm_imports_after_the_backbones() -> None:
    run("import head2toe.backbones\nimport timm\nassert timm.__version__\n")


def test_compiled_operators_are_left_alone() -> None:
    run(
        "import torch\n"
        "library = torch.library.Library('torchvision', 'DEF')\n"
        "schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'\n"
        "for name in ('nms', 'qnms'): library.define(name + schema)\n"
        "torch.ops.load_library = lambda path: None  # as if the compiled library had just brought them\n"
        "from head2toe.backbones import torchvision_ops\n"
        "assert not torchvision_ops._declared and not torchvision_ops.declare_missing_operators()\n"
    )
