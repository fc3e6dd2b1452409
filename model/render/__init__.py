"""Drawing: colour, light, rasterizers behind one Protocol, and the renderer that joins them."""
