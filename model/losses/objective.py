"""The objective: groups of losses, each a function from the config and what it needs to weighted terms by name.

| group | needs |
|---|---|
| `geometric_terms` | labels, coefficients, recognition embeddings |
| `photometric_terms` | a rendering |
| `identity_terms` | a rendering and a recognition network |
| `distillation_terms` | an answer from the encoder's features, and recognition embeddings |
| `refinement_terms` | a reconstruction with refinements; nothing without |
| `swapped_identity_terms`, `multiview_terms` | several photographs of one person in the batch |
| `shape_terms`, `loop_back_terms` | heads whose truth is known |

`total` adds them up.
"""

from model.losses.config import LossConfig
from model.losses.objective_geometry import geometric_terms
from model.losses.objective_identity import distillation_terms, identity_terms
from model.losses.objective_people import multiview_terms, swapped_identity_terms
from model.losses.objective_refinement import refinement_terms
from model.losses.objective_rendering import photometric_terms
from model.losses.objective_truth import loop_back_terms, shape_terms
from model.losses.tables import LossTables
from model.losses.weighting import Terms, total

__all__ = [
    "LossConfig",
    "LossTables",
    "Terms",
    "distillation_terms",
    "geometric_terms",
    "identity_terms",
    "loop_back_terms",
    "multiview_terms",
    "photometric_terms",
    "refinement_terms",
    "shape_terms",
    "swapped_identity_terms",
    "total",
]
