"""What of a photograph is skin, hair, the rest of the person, and background."""
