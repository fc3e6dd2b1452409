"""Shared by all tests; the toy head and its reconstructor are in `tests/small_world.py`."""

import torch

# The networks of the tests are tiny: threads only wait for one another, for minutes on a machine that is busy.
torch.set_num_threads(1)
