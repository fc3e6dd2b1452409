"""Commands for maintainers: they build and measure what the repository ships."""
