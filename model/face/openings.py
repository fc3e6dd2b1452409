"""The landmarks of upper and lower lids and lips, which lie on one another when an eye or the mouth is shut."""

EYES_68 = ((37, 41), (38, 40), (43, 47), (44, 46))
"""Upper and lower points of iBUG's eyes."""

LIPS_68 = ((61, 67), (62, 66), (63, 65))
"""Upper and lower points of iBUG's inner lips."""

EYES_478 = ((160, 144), (159, 145), (158, 153), (385, 380), (386, 374), (387, 373))
"""The same of MediaPipe's mesh, whose lids are finer."""

LIPS_478 = ((13, 14), (82, 87), (312, 317))
"""Inner lips of MediaPipe's mesh."""
