"""The work on one method and seed of a study: pretraining, then its evaluations, each skipped if it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_advmask.locks import locked
from ecg_advmask.study.design import Method, Study
from ecg_advmask.study.messages import Began, Ended, Finished, Message, Part, Said
from ecg_advmask.study.units import Folder, Job, Unit

if TYPE_CHECKING:  # at run time, TensorFlow is imported where the work is done
    from ecg_advmask.evaluate.evaluation import Fit
    from ecg_advmask.evaluate.partition import Split
    from ecg_advmask.pretrain.callbacks import DrawMasks
    from ecg_advmask.study.state import State

Tell = Callable[[Message], None]


@dataclass(frozen=True)
class Work:
    """Does the jobs of a study; it is sent to the processes that work."""

    study: Study
    folder: Folder
    draw_masks: "DrawMasks | None"

    def log(self, job: Job) -> Path:
        """The file that takes what is printed while a job is done."""
        return self.folder.log(self.study.method(job.method), job.seed)

    def do(self, job: Job, tell: Tell) -> Ended:
        """Do what is missing of a job, and tell how it goes.

        Raises:
            InputError: the data, the settings and what is there already do not go together.
        """
        method = self.study.method(job.method)
        trained = method.kind in ("scratch", "finetune")
        with locked(self.folder.lock(method, job.seed)) as mine:
            if not mine:
                return Ended(busy=True, fresh=True)
            for unit in job.units:
                if not self._state.is_done(unit):
                    if unit.task:
                        self._evaluate(method, unit, tell)
                    else:
                        self._pretrain(method, unit, tell)
                        trained = True
                tell(Finished(unit))
        return Ended(busy=False, fresh=not trained)

    @cached_property
    def _state(self) -> "State":
        from ecg_advmask.study.data import StudyData
        from ecg_advmask.study.state import State

        return State(StudyData.open(self.study, self.folder))

    def _pretrain(self, method: Method, unit: Unit, tell: Tell) -> None:
        from keras.callbacks import LambdaCallback

        from ecg_advmask.pretrain.trainer import pretrain

        data = self._state.data.pretraining
        assert data is not None, "`file` sees to it"
        tell(Began(unit, self._state.amount_done(unit)))
        config = self.study.config(method, unit.seed)

        def say(line: str) -> None:
            print(line, flush=True)
            if line.startswith("warning"):
                tell(Said(line))

        pretrain(
            data,
            self.folder.run(method, unit.seed),
            config,
            resume=True,
            draw_masks=self.draw_masks,
            say=say,
            callbacks=[LambdaCallback(on_epoch_end=lambda epoch, _: tell(Part(epoch + 1, config.epochs)))],
        )

    def _evaluate(self, method: Method, unit: Unit, tell: Tell) -> None:
        """Evaluate at the numbers of labels that are missing, and store each as it is done."""
        import dataclasses

        from ecg_advmask.evaluate.evaluation import draws_of, evaluate
        from ecg_advmask.evaluate.evaluation_file import store

        state, data = self._state, self._state.data
        split = data.split(unit.task)
        missing = state.missing_labels(method, unit.seed, unit.task)
        done = unit.amount - len(missing)
        tell(Began(unit, done))
        fit, about = self._fit(method, unit.seed, split)
        for labels in missing:
            protocol = dataclasses.replace(self.study.protocol(method), fractions=(labels,))
            made_of = state.made_of(method, unit.seed, unit.task, labels)
            fits = _Counter(draws_of(split, protocol), done, len(self.study.labels), tell)
            evaluation = evaluate(fit, split, protocol, fits.one_more)
            path = self.folder.evaluation(method, unit.seed, unit.task, labels)
            store(path, evaluation, about | {"made_of": made_of})
            done += 1

    def _fit(self, method: Method, seed: int, split: "Split") -> "tuple[Fit, dict[str, Any]]":
        """What learns from drawn labels, and what is to be told of its encoder."""
        from ecg_advmask.evaluate.finetune import fine_tuning
        from ecg_advmask.evaluate.linear import linear_fit
        from ecg_advmask.evaluate.network import Network
        from ecg_advmask.evaluate.recording_windows import RecordingWindows
        from ecg_advmask.models.weights import weights_sha256
        from ecg_advmask.pretrain.run import random_encoder

        state, data = self._state, self._state.data
        config = self.study.config(method, seed)
        if method.kind in ("random", "scratch"):
            encoder = random_encoder(config, seed)
        else:
            run = state.finished_run(self.study.method(method.of) if method.of else method, seed)
            assert run is not None, "its job has ended"
            data.check_unseen(run, split)
            encoder = run.encoder()
        about = {"encoder_sha256": weights_sha256(encoder)}
        if method.kind in ("pretrained", "random"):
            embeddings = data.embeddings(encoder, config.window_samples)[data.places(split)]
            return linear_fit(embeddings, split, self.study.protocol(method)), about
        settings = state.fine_tuning
        network = Network.of(config, split.targets)
        windows = RecordingWindows(data.evaluation, split.ids, config.window_samples)
        rate = settings.scratch_rate if method.kind == "scratch" else settings.encoder_rate
        weights = list(encoder.get_weights())
        return fine_tuning(network, windows, split, lambda _: weights, rate, settings), about


class _Counter:
    """Counts the fits at one number of labels, and tells how much of a whole evaluation is done."""

    def __init__(self, fits: int, before: int, numbers_of_labels: int, tell: Tell) -> None:
        self._fits, self._before, self._of, self._tell = fits, before, numbers_of_labels, tell
        self._done = 0

    def one_more(self) -> None:
        self._done += 1
        self._tell(Part(self._before * self._fits + self._done, self._of * self._fits))
