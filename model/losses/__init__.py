"""One loss per file; `objective` weighs them."""
