"""The progress view of a study: time left from like units, a live line, lines for finished units."""

import io

import pytest

from ecg_advmask.study.jobs import Began, Ended, Finished, Job, Part, Said, Unit
from ecg_advmask.study.progress import Estimate, Progress, duration

A = Unit("A", 0, "", ("pretraining", "A"), 10)
A_SEX = Unit("A", 0, "sex", ("linear heads", "sex"), 2)
B = Unit("B", 0, "", ("pretraining", "B"), 20)
B_SEX = Unit("B", 0, "sex", ("linear heads", "sex"), 2)
JOB_A, JOB_B = Job("A", 0, (A, A_SEX), ""), Job("B", 0, (B, B_SEX), "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_like_work_is_estimated_by_itself_else_by_its_sort() -> None:
    estimate = Estimate()
    assert estimate.seconds(("pretraining", "A"), 3) is None
    estimate.measured(("pretraining", "A"), 10, 50)
    estimate.measured(("pretraining", "B"), 10, 150)
    assert estimate.seconds(("pretraining", "A"), 3) == 15
    assert estimate.seconds(("pretraining", "C"), 3) == 30
    assert estimate.seconds(("linear heads", "sex"), 3) is None


def test_time_left_counts_down_as_parts_are_done() -> None:
    clock = Clock()
    view = Progress([A, A_SEX, B, B_SEX], [], 1, {}, stream=io.StringIO(), clock=clock)
    assert view.seconds_left() == (0, False)
    view.listen(JOB_A, Began(A, 4))  # six epochs are left of a run that was interrupted
    clock.now = 60
    view.listen(JOB_A, Finished(A))
    assert view.seconds_left() == (200, False)  # 20 epochs of 10 s; evaluations are of no known like
    view.listen(JOB_A, Began(A_SEX))
    clock.now = 90
    view.listen(JOB_A, Finished(A_SEX))
    assert view.seconds_left() == (230, True)
    view.listen(JOB_B, Began(B))
    view.listen(JOB_B, Part(5, 20))
    assert view.seconds_left() == (180, True)


def test_earlier_sittings_and_workers_count() -> None:
    known = {("pretraining", "A"): (5.0, 50.0), ("linear heads", "sex"): (2.0, 8.0)}
    assert Progress([A, A_SEX, B, B_SEX], [A], 2, known, stream=io.StringIO()).seconds_left() == (
        pytest.approx((8 + 200 + 8) / 2),
        True,
    )


def test_what_was_begun_before_counts_as_done() -> None:
    known = {("pretraining", "A"): (4.0, 40.0)}
    view = Progress([A, B], [], 1, known, stream=io.StringIO(), begun={A: 4})
    assert view.seconds_left() == (60 + 200, True)


def test_lines_for_finished_units_where_there_is_no_terminal() -> None:
    clock, stream = Clock(), io.StringIO()
    view = Progress([A, A_SEX, B, B_SEX], [A_SEX], 1, {}, stream=stream, clock=clock)
    view.listen(JOB_A, Began(A))
    clock.now = 100
    view.listen(JOB_A, Part(10, 10))
    view.listen(JOB_A, Said("warning: it fails"))
    view.listen(JOB_A, Finished(A))
    view.listen(JOB_A, Finished(A_SEX))  # it was done before
    view.listen(JOB_B, Ended(busy=True, fresh=True))
    assert stream.getvalue().splitlines() == [
        "A, seed 0: warning: it fails",
        "A, seed 0: pretraining done in 1 min 40 s · 2/4 units · at least 3 min 20 s left",
        "B, seed 0: left to another study, which works on it",
    ]


def test_a_live_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    clock, stream = Clock(), Terminal()
    view = Progress([A, A_SEX, B, B_SEX], [], 1, {("pretraining", "A"): (1, 2)}, stream=stream, clock=clock)
    view.listen(JOB_A, Began(A))
    view.listen(JOB_A, Part(3, 10))
    assert stream.getvalue().split("\r\x1b[K")[-1] == (
        "A, seed 0: pretraining, epoch 4/10 · 0/4 units · at least 54 s left"
    )
    monkeypatch.setenv("COLUMNS", "50")
    view.tick()
    line = stream.getvalue().split("\r\x1b[K")[-1]
    assert len(line) < 50 and line.endswith("0/4 units · at least 54 s left")
    view.close()
    assert "\n" not in stream.getvalue() and stream.getvalue().endswith("\r\x1b[K")


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 200, 7500)] == ["0 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]
