import pytest

from tools.timing import Spent, elapsed_ms, in_turns, median_ms, spent_ms


class Machine:
    """A clock that only its own work moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def work(self, name: str, *seconds: float):
        left = list(seconds)

        def run() -> None:
            self.done.append(name)
            self.now_s += left.pop(0)

        return run


def test_a_run_is_measured_by_the_clock_given() -> None:
    machine = Machine()
    assert elapsed_ms(machine.work("a", 0.25), machine.clock) == pytest.approx(250.0)
    assert elapsed_ms(machine.work("a", 0.1, 0.3), machine.clock, repeats=2) == pytest.approx(200.0)


def test_the_median_leaves_out_the_runs_that_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((900.0, 800.0, 3.0, 1.0, 2.0))
    monkeypatch.setattr("tools.timing.elapsed_ms", lambda work, device: next(times))
    assert median_ms(lambda: None, repeats=3, warm=2) == 2.0


def test_steps_take_turns_and_the_first_round_warms_up() -> None:
    machine = Machine()
    steps = [machine.work("a", 9.0, 0.1, 0.2), machine.work("b", 8.0, 0.3, 0.4)]
    first, second = in_turns(steps, 2, machine.clock)
    assert machine.done == ["a", "b"] * 3
    assert first == pytest.approx([100.0, 200.0])
    assert second == pytest.approx([300.0, 400.0])


def test_a_busy_machine_shows_in_the_spread_and_not_in_the_processors_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wall = iter([0.0, 9.0, 10.0, 10.002, 20.0, 20.004, 30.0, 30.1])
    cpu = iter([0.0, 1.0, 1.0, 1.002, 2.0, 2.002, 3.0, 3.002])
    monkeypatch.setattr("tools.timing.time.perf_counter", lambda: next(wall))
    monkeypatch.setattr("tools.timing.time.process_time", lambda: next(cpu))
    runs: list[int] = []
    spent = spent_ms(lambda: runs.append(1), repeats=3, warm=1, each=2)
    assert len(runs) == 4
    assert spent.wall_ms == pytest.approx((1.0, 2.0, 50.0))
    assert spent.cpu_ms == pytest.approx((1.0, 1.0, 1.0))
    assert str(spent).split() == ["2.00", "1.00", "50.00", "1.00"]
    hundred = Spent(tuple(float(ms) for ms in range(101)), (7.0,))
    assert str(hundred).split() == ["50.00", "10.00", "90.00", "7.00"]
