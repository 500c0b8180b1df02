"""The progress of a study: a bar over all of its parts on a terminal, lines for finished units elsewhere."""

import io

from ecg_advmask.study.jobs import JobEnded, JobLine, StudyJob, Unit, UnitFinished, UnitProgress, UnitStarted
from ecg_advmask.study.runner import StudyProgress

A = Unit("A", 0, "", 10)
A_SEX = Unit("A", 0, "sex", 2)
B = Unit("B", 0, "", 20)
B_SEX = Unit("B", 0, "sex", 2)
JOB_A, JOB_B = StudyJob("A", 0, (A, A_SEX), ""), StudyJob("B", 0, (B, B_SEX), "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """What stands on the line now."""
        return self.getvalue().rpartition("\r")[2].rstrip()


def test_lines_for_finished_units_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    view = StudyProgress([A, A_SEX, B, B_SEX], {A_SEX: 2}, stream)
    view.listen(JOB_A, UnitStarted(A, 4))
    view.listen(JOB_A, UnitProgress(10, 10))
    view.listen(JOB_A, JobLine("warning: it fails"))
    view.listen(JOB_A, UnitFinished(A))
    view.listen(JOB_A, UnitFinished(A_SEX))  # it was done before
    view.listen(JOB_B, JobEnded(busy=True, fresh=True))
    view.tick()
    view.close()
    assert stream.getvalue().splitlines() == [
        "A, seed 0: warning: it fails",
        "A, seed 0: pretraining done in 00:00, 2/4 units",
        "B, seed 0: left to another study, which works on it",
    ]


def test_a_bar_on_a_terminal_counts_epochs_and_numbers_of_labels() -> None:
    stream = Terminal()
    view = StudyProgress([A, A_SEX, B, B_SEX], {A: 4}, stream)
    assert stream.shown().startswith("starting:  12%") and "0/4 units" in stream.shown()
    view.listen(JOB_A, UnitStarted(A, 4))
    view.listen(JOB_A, UnitProgress(5, 10))
    assert stream.shown().startswith("A, seed 0: pretraining, epoch 6/10:  15%")  # 5 of 34
    view.listen(JOB_A, UnitFinished(A))
    view.listen(JOB_A, UnitStarted(A_SEX))
    view.listen(JOB_A, UnitProgress(3, 4))  # of the fits
    assert stream.shown().startswith("A, seed 0: sex, 75 %:  34%") and "1/4 units" in stream.shown()
    view.listen(JOB_B, JobEnded(busy=True, fresh=True))
    assert ":  96%" in stream.shown() and "1/2 units" in stream.shown()  # 11.5 of 12
    view.listen(JOB_A, UnitFinished(A_SEX))
    assert "100%" in stream.shown() and "2/2 units" in stream.shown()
    view.close()
