"""Errors that nobody foresaw, as they are reported."""


def describe(error: BaseException) -> str:
    """An unexpected error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
