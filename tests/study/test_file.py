"""Study files: what is read, how each mistake is reported, and every file in ``studies/``."""

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from ecg_advmask.data.targets import targets_of
from ecg_advmask.errors import InputError
from ecg_advmask.study.design import Study, read_study
from ecg_advmask.study.jobs import jobs_of

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.toml"))
GOOD = """
name = "Small"
question = "Which?"
baseline = "Block mask"
compare = [["Adv Mask", "Untrained"], ["Adv Mask, tuned", "Adv Mask"]]
[data]
pretraining = "in/one"
evaluation = "/elsewhere"
[protocol]
pretraining_share = 0.6
seeds = [0, 2]
tasks = ["rhythm", "diagnosis-2020:axis and chamber"]
labels = [25, 0.5, 1.0]
draws = 7
settings = { epochs = 3 }
fine_tuning = { updates = 9 }
[[methods]]
name = "Untrained"
kind = "random"
preset = "cpu-block-mask"
seeds = [1]
[[methods]]
name = "Block mask"
preset = "cpu-block-mask"
[[methods]]
name = "Adv Mask"
preset = "cpu-advmask"
settings = { epochs = 4, alpha = 1.0 }
[[methods]]
name = "Adv Mask, tuned"
kind = "finetune"
of = "Adv Mask"
seeds = [2]
draws = 3
"""


def read(folder: Path, text: str) -> Study:
    file = folder / "study.toml"
    file.write_text(text)
    return read_study(file)


def test_what_the_file_says_is_what_is_read(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD)
    assert (study.pretraining, study.evaluation) == ((tmp_path / "in/one",), Path("/elsewhere"))
    assert study.compare == (("Adv Mask", "Untrained"), ("Adv Mask, tuned", "Adv Mask"))
    assert study.labels == (25, 0.5, 1) and study.seeds == (0, 2) and study.content == tomllib.loads(GOOD)
    untrained, block, learnt, tuned = study.methods
    assert (untrained.kind, untrained.seeds, untrained.draws) == ("random", (1,), 7)
    assert (tuned.of, tuned.preset, tuned.seeds, tuned.draws) == ("Adv Mask", "cpu-advmask", (2,), 3)
    config = study.config(learnt, 2)
    assert (config.epochs, config.alpha, config.seed, config.pretraining_share) == (4, 1.0, 2, 0.6)
    assert study.config(block, 0).epochs == 3 and study.config(tuned, 2) == config
    protocol = study.protocol(tuned)
    assert (protocol.fractions, protocol.draws, protocol.shares) == ((25, 0.5, 1), 3, (0.5, 0.1, 0.4))
    other = study.with_data(evaluation=Path("here"))
    assert (other.pretraining, other.evaluation) == ((tmp_path / "in/one",), Path("here"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('question = "Which?"', "", "question is missing"),
        ('name = "Small"', 'name = " "', "name = ' ': expected a text"),
        ('name = "Small"', 'name = "Small"\nnmae = 3', "nmae = 3: there is no such key"),
        ('baseline = "Block mask"', 'baseline = "Block"', "baseline = 'Block': is the name of no method"),
        ('pretraining = "in/one"', "", "data.pretraining is missing"),
        ("[data]", "[date]", "data is missing"),
        ("draws = 7", "draws = 7\nlables = 4", "protocol.lables = 4: there is no such key"),
        ("draws = 7", "draws = 0", "protocol.draws = 0: expected a whole number of at least 1"),
        ("draws = 7", "draws = true", "protocol.draws = True: expected a whole number"),
        ("pretraining_share = 0.6", "pretraining_share = 60", "protocol.pretraining_share = 60: expected a share"),
        ("seeds = [0, 2]", "seeds = [0, 0]", "protocol.seeds = [0, 0]: names something twice"),
        ("seeds = [0, 2]", "seeds = []", "protocol.seeds = []: expected a list that is not empty"),
        ("seeds = [0, 2]", "seeds = 3", "protocol.seeds = 3: expected a list"),
        ('tasks = ["rhythm", ', 'tasks = ["a:b", "a/b", ', "protocol.tasks = "),
        ("labels = [25, 0.5, 1.0]", "labels = [25, 1.5]", "protocol.labels = [25, 1.5]: expected shares"),
        ("labels = [25, 0.5, 1.0]", "labels = [25, nan]", "protocol.labels = [25, nan]: expected shares"),
        ("draws = 7", "shares = [0.5, 0.5, 0.5]", "protocol.shares = [0.5, 0.5, 0.5]: expected the shares"),
        ("draws = 7", 'head = "svm"', "protocol.head = 'svm': expected one of lbfgs, adam"),
        ("updates = 9", "updates = 0", "protocol.fine_tuning = {'updates': 0}: fine-tuning: updates"),
        ("updates = 9", "updaets = 9", "protocol.fine_tuning.updaets = 9: there is no such key"),
        ("updates = 9", "updates = 9.5", "protocol.fine_tuning.updates = 9.5: expected a whole number"),
        (
            "updates = 9",
            'schedule = "step"',
            "protocol.fine_tuning.schedule = 'step': expected one of cosine, constant",
        ),
        (
            "{ epochs = 3 }",
            "{ epochs = 3, seed = 1 }",
            "protocol.settings = {'epochs': 3, 'seed': 1}: seed is stated by",
        ),
        ("{ epochs = 3 }", "{ epcohs = 3 }", "method Untrained: unknown setting 'epcohs'"),
        ("{ epochs = 3 }", "3", "protocol.settings = 3: expected a table"),
        ("alpha = 1.0", "alpha = -1", "method Adv Mask: alpha = -1: must be at least 0"),
        (
            'preset = "cpu-advmask"',
            'preset = "cpu-advmaks"',
            "methods[3].preset = 'cpu-advmaks': there is no such preset",
        ),
        ('preset = "cpu-advmask"', 'preset = "advmask"', "methods[3].preset = 'advmask': there is no such preset"),
        ('preset = "cpu-advmask"', 'preset = "paper-advmask"', "methods need one sampling rate"),
        ('name = "Adv Mask"', 'name = "block/mask"', "methods[3].name = 'block/mask': an earlier method has it"),
        ('kind = "random"', 'kind = "none"', "methods[1].kind = 'none': expected one of pretrained, random"),
        ('of = "Adv Mask"', 'of = "Untrained"', "methods[4].of = 'Untrained': is the name of no pretrained method"),
        ("seeds = [2]", "seeds = [1]", "methods[4].seeds = [1]: Adv Mask is pretrained with the seeds 0, 2 only"),
        ('of = "Adv Mask"', 'of = "Adv Mask"\npreset = "demo"', "methods[4].preset = 'demo': there is no such key"),
        ("name =", "name", "not a TOML file"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'study.toml'}: ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("3", "compare = 3: expected a list of pairs of texts"),
        ('["Adv Mask", "Untrained"]', "compare = ['Adv Mask', 'Untrained']: expected a list of pairs of texts"),
        ('[["Adv Mask"]]', "compare = [['Adv Mask']]: expected a list of pairs of texts"),
        ('[["Adv Mask", 3]]', "compare = [['Adv Mask', 3]]: expected a list of pairs of texts"),
        ('[["Adv Mask", "Untrained", "Block mask"]]', "expected a list of pairs of texts"),
        ('[["Adv Mask", "Adv\\nMask"]]', r"'Adv\nMask' is the name of no method"),
        ('[["Adv Mask", "Adv Mask"]]', "'Adv Mask' and 'Adv Mask' are one method"),
        ('[["Adv Mask", "Block mask"]]', "'Adv Mask' and 'Block mask' are compared anyway"),
        ('[["Block mask", "Adv Mask"]]', "'Block mask' and 'Adv Mask' are compared anyway"),
        ('[["Adv Mask", "Untrained"], ["Adv Mask", "Untrained"]]', "'Adv Mask' and 'Untrained' are compared twice"),
        ('[["Adv Mask", "Untrained"], ["Untrained", "Adv Mask"]]', "'Untrained' and 'Adv Mask' are compared twice"),
    ],
)
def test_a_comparison_that_cannot_be_made_or_is_made_anyway_is_refused(
    tmp_path: Path, stated: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, re.sub("compare = .*", lambda _: f"compare = {stated}", GOOD))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'study.toml'}: compare = ") and message in text and "\n" not in text


def test_methods_pretrain_on_one_data_set_or_on_several(tmp_path: Path) -> None:
    several = read(tmp_path, GOOD.replace('"in/one"', '["in/one", "/two"]'))
    assert several.pretraining == (tmp_path / "in/one", Path("/two"))
    assert several.with_data(pretraining=[Path("a"), Path("b")]).pretraining == (Path("a"), Path("b"))
    for wrong in ("[]", "3", '["in/one", "in/one"]', '["in/one", 3]'):
        with pytest.raises(InputError, match=r"data\.pretraining"):
            read(tmp_path, GOOD.replace('"in/one"', wrong))


def test_without_further_comparisons_there_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, re.sub("compare = .*", "", GOOD)).compare == ()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_study(tmp_path / "none.toml")


def test_the_example_of_the_documentation_is_a_study(tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8"), re.DOTALL
    )
    study = read(tmp_path, example)
    assert [method.kind for method in study.methods] == ["random", "pretrained", "pretrained", "finetune"]
    assert study.compare == (("Adv Mask", "Untrained"),)
    assert [study.config(method, 0).alpha for method in study.methods] == [0.1, 0.1, 0.3, 0.3]


def test_jobs_come_in_order_and_in_part(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD)
    whole = [(job.method, job.seed, [unit.task for unit in job.units], job.after) for job in jobs_of(study)]
    tasks = list(study.tasks)
    assert whole == [
        ("Block mask", 0, ["", *tasks], ""),
        ("Adv Mask", 0, ["", *tasks], ""),
        ("Untrained", 1, tasks, ""),
        ("Block mask", 2, ["", *tasks], ""),
        ("Adv Mask", 2, ["", *tasks], ""),
        ("Adv Mask, tuned", 2, tasks, "Adv Mask"),
    ]
    part = [(job.method, job.seed, len(job.units)) for job in jobs_of(study, ["Adv Mask, tuned", "Block mask"], [2])]
    assert part == [("Block mask", 2, 3), ("Adv Mask", 2, 1), ("Adv Mask, tuned", 2, 2)]
    for only, seeds, message in (
        (["Adv"], [], r"no method 'Adv' \(--only\), there are: Untrained, Block mask"),
        ([], [7], r"no method has the seed 7 \(--seed\)"),
        (["Untrained"], [2], r"none of these methods"),
    ):
        with pytest.raises(InputError, match=message):
            jobs_of(study, only, seeds)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_that_is_shipped_can_be_started(file: Path) -> None:
    """Its presets, settings and tasks exist."""
    study = read_study(file)
    for method in study.methods:
        for seed in method.seeds:
            assert study.config(method, seed).seed == seed
    none = pd.DataFrame({"id": [], "age_years": [], "sex": [], "codes": []})
    for task in study.tasks:
        assert targets_of(none, pd.DataFrame({"id": []}), task).task == task
    assert len({study.config(method, 0).encoder_width for method in study.methods}) == 1, "encoders of one size"


def test_each_study_of_the_papers_comes_in_two_sizes_with_the_same_methods() -> None:
    full = [file for file in STUDIES if file.with_stem(f"{file.stem}-cpu").is_file()]
    assert {file.stem for file in full} == {"transfer", "n-masks", "alpha", "simclr-cmsc", "3kg", "adversary"}
    for file in full:
        assert file.read_text().startswith("# "), "it says what it repeats"
        large, small = read_study(file), read_study(file.with_stem(f"{file.stem}-cpu"))
        assert [one.preset.replace("paper-", "cpu-") for one in large.methods] == [one.preset for one in small.methods]
        assert [one.name for one in large.methods] == [one.name for one in small.methods]
        assert (large.tasks, large.labels, large.baseline) == (small.tasks, small.labels, small.baseline)
