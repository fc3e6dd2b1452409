"""Pictures of a head, as arrays: over its photograph, before and after a refinement, in other lights, path-traced."""
