"""Plans side by side, and apart again."""

from __future__ import annotations

import numpy as np

from head2toe.features import Plan, layers
from head2toe.features.joint import join, networks_of, part


def test_joined_plans_come_apart(small, timm_backbone):
    plans = [Plan.build(layers(one), (64, 256)) for one in (small, timm_backbone("test_vit", num_classes=3))]
    joined = join(plans)
    assert joined.d == sum(plan.d for plan in plans)
    assert [part(joined, i) for i in range(2)] == [(plans[0], 0), (plans[1], plans[0].d)]
    for view in ("64", "256", "linear"):
        expected = np.concatenate([plans[0].columns(view), plans[1].columns(view) + plans[0].d])
        np.testing.assert_array_equal(joined.columns(view), expected)
    for i, start in enumerate((0, plans[0].d)):
        np.testing.assert_array_equal(joined.columns(f"{i}/64"), plans[i].columns("64") + start)
        assert (networks_of(joined, f"{i}/64"), networks_of(plans[i], "64")) == ({str(i)}, {""})
    assert networks_of(joined, "64") == networks_of(joined, "linear") == {"0", "1"}
    assert "0/linear" not in joined.views
    assert Plan.from_dict(joined.to_dict()) == joined


def test_restricted_joined_plans_come_apart(small):
    plan = Plan.build(layers(small), (64,))
    joined = join([plan, plan])
    kept, places = joined.restrict([plan.d + 1, 3])
    (first, start), (second, second_start) = part(kept, 0), part(kept, 1)
    assert (start, second_start) == (0, first.d)
    assert first.blocks[0].layer == second.blocks[0].layer == plan.blocks[0].layer
    np.testing.assert_array_equal(places, [second_start + 1, 3])
    nothing, end = part(joined.restrict([0])[0], 1)
    assert (nothing.blocks, end) == ((), first.d)
