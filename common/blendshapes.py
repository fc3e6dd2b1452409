"""ARKit's 52 blendshapes by name: the order of labels, which data and model must agree upon."""

# fmt: off
_MIDDLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower",
    "mouthShrugUpper", "tongueOut",
)
_PAIRED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile",
    "mouthStretch", "mouthUpperUp", "noseSneer",
)
# fmt: on

BLENDSHAPE_NAMES = tuple(sorted((*_MIDDLE, *(stem + side for stem in _PAIRED for side in ("Left", "Right")))))
"""ARKit's 52 names in alphabetical order: the order of the labels."""

BLENDSHAPES = len(BLENDSHAPE_NAMES)
