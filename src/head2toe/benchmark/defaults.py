"""What comparisons take where the user says nothing; it imports nothing, so that `head2toe --help` may tell it."""

from __future__ import annotations

STEPS = 200  # gradient steps of one training of a network
VTAB_SEEDS = 0, 1, 2
