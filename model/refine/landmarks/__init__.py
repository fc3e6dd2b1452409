"""The landmark fit: stage 0 of a refinement."""
