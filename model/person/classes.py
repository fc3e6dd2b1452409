"""The classes of a person mask: what a pixel of a photograph shows."""

BACKGROUND, SKIN, HAIR, OTHER = range(4)
"""Skin is that of head and neck with all that is part of the face: eyes, lips, brows and beard, which a head wears on
its skin. Hair is what grows on the skull or is worn on it: hats, scarves and hoods count, since they take hair's place
and are turned into the same shell. Other is the rest of the person: clothes, glasses, hands, and what they hold.
"""

CLASS_NAMES = ("background", "skin", "hair", "other")

UNKNOWN = 255
"""In labels: not known, not learned from."""
