"""The parts of `infer.py`."""
