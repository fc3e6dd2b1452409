"""The morphable model: one file format for every published head, and the module that evaluates it."""
