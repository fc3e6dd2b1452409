"""From a crop to parameters: a timm backbone and one linear layer per parameter group."""
