import threading

from inference.budget import PixelBudget


def started(budget: PixelBudget, pixels: int) -> tuple[threading.Thread, threading.Event]:
    through = threading.Event()

    def work() -> None:
        budget.acquire(pixels)
        through.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, through


def test_waits_until_pixels_are_given_back() -> None:
    budget = PixelBudget(100)
    budget.acquire(80)
    thread, through = started(budget, 30)
    assert not through.wait(0.05)
    budget.release(80)
    thread.join(5.0)
    assert through.is_set()


def test_one_photograph_above_the_limit_passes_alone() -> None:
    budget = PixelBudget(100)
    budget.acquire(1000)
    thread, through = started(budget, 1)
    assert not through.wait(0.05)
    budget.release(1000)
    thread.join(5.0)
    assert through.is_set()


def test_closing_lets_all_through() -> None:
    budget = PixelBudget(100)
    budget.acquire(100)
    thread, _ = started(budget, 100)
    budget.close()
    thread.join(5.0)
    assert not thread.is_alive()
