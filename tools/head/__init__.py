"""The parts of `tools/build_head.py`, and the landmark positions it puts on the head."""
