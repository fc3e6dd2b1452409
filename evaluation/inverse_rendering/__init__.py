"""The benchmark of inverse rendering: how well skin and light are told apart on faces of which everything is known."""
