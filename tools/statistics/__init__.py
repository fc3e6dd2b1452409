"""What the statistics tools share: reading photographs and labels, fitting a linear head to points, weighted PCA."""
