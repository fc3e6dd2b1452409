"""Path-traced pictures of a head by Mitsuba, which may be missing."""
