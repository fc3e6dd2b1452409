"""What both `model/` and `data/` may use; it imports neither."""
