"""Which faces are looked for, apart from what looks for them: a command line is read without NumPy."""

MIN_FACE_PX = 24.0
"""Size of the smallest face that is looked for, unless another number is asked for."""

MIN_SCORE = 0.5
"""Least score of a face, unless another number is asked for."""

LEAST_SCORE = 0.3
"""What has a lower score at first is never looked at again."""
