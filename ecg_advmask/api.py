"""Functions of the public interface that put several packages together; `ecg_advmask` exports them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.evaluate.heads import LinearHead
    from ecg_advmask.evaluate.protocol import HeadKind
    from ecg_advmask.evaluate.split import Split
    from ecg_advmask.pretrain.run import Run


@dataclass(frozen=True)
class LinearEvaluation:
    """The result of `linear_eval`; printed, it is the table that ``ecg-advmask linear-eval`` prints.

    Attributes:
        result: all figures, as the JSON file of the command holds them: ``summary``, ``differences``, ``results``.
        split: the recordings of the training, validation and test part.
        head: the linear head that was fitted on the most labels.
    """

    result: Mapping[str, Any]
    split: "Split"
    head: "LinearHead"

    def __str__(self) -> str:
        from ecg_advmask.report.results import as_studies
        from ecg_advmask.report.tables import terminal_table

        return terminal_table(*as_studies([self.result]))

    def save(self, path: str | Path) -> None:
        """Write ``path`` (``.json``), and beside it the split (``.split.csv``) and the head, as the command does.

        ``ecg-advmask report``, ``export --evaluation`` and ``linear-eval --split`` read these files.
        """
        from ecg_advmask.evaluate.heads import HEAD_SUFFIX
        from ecg_advmask.files import write_json

        target = Path(path)
        self.split.write(target.with_suffix(".split.csv"))
        self.head.write(target.with_suffix(HEAD_SUFFIX))
        write_json(target, self.result)


def linear_eval(
    run: "Run | str | Path",
    data: "DataSet | str | Path",
    task: str,
    *,
    labels: Sequence[float] = (0.01, 0.1, 1.0),
    draws: int = 5,
    seed: int = 0,
    head: "HeadKind" = "lbfgs",
    split: str | Path | None = None,
) -> LinearEvaluation:
    """Test the frozen encoder of a run on recordings that it has not seen, beside an untrained encoder.

    Args:
        run: a run, or its directory.
        data: a data set, or its directory; it must have the sampling rate of the run, and windows as long or longer.
        task: ``rhythm``, ``sex``, ``age``, ``diagnosis``, ``diagnosis-2020``, a group of diagnoses, or a column of the
            label table that the data set was prepared with.
        labels: shares of the training part (up to 1.0), or numbers of labelled recordings (above 1).
        draws: how often each number of labels is drawn; the whole training part is used once.
        seed: of the first draw.
        head: ``lbfgs``, logistic or ridge regression, or ``adam``, a linear layer trained by Adam.
        split: a stored division of the recordings, to test several runs on the same ones.

    Raises:
        InputError: run, data set, task and division do not go together, or there are too few labels.
    """
    from ecg_advmask.data.dataset import DataSet
    from ecg_advmask.evaluate.experiment import evaluate_run
    from ecg_advmask.evaluate.protocol import Protocol
    from ecg_advmask.pretrain.run import Run

    run_path = str(run.path if isinstance(run, Run) else run)
    data_path = data.path if isinstance(data, DataSet) else data
    protocol = Protocol(tuple(float(one) for one in labels), draws=draws, seed=seed, head=head)
    return LinearEvaluation(*evaluate_run(run_path, data_path, task, protocol, split_path=split))
