"""A bound on the photographs held in memory."""

import threading


class PixelBudget:
    """Lets threads take pixels out of a limited stock, and waits while there are none.

    One photograph above the whole limit is let through alone, so that nothing waits for ever.
    """

    def __init__(self, limit_px: int) -> None:
        """Stock the budget."""
        self._limit_px = limit_px
        self._used_px = 0
        self._closed = False
        self._changed = threading.Condition()

    def acquire(self, pixels: int) -> None:
        """Take pixels, waiting until they are there; at once after `close`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._used_px == 0 or self._used_px + pixels <= self._limit_px
            )
            self._used_px += pixels

    def release(self, pixels: int) -> None:
        """Give pixels back."""
        with self._changed:
            self._used_px -= pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Stop waiting, so that an interrupted run can end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
