"""Embedding whole folders: tables as by hand, the same whether killed or not, whoever reads; and what is refused."""

import csv
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_advmask.ecg.leads import STANDARD_LEADS
from ecg_advmask.ecg.sources import Recording, read_recordings
from ecg_advmask.errors import InputError
from ecg_advmask.export import embed
from ecg_advmask.export.embed import embed_files
from ecg_advmask.export.encoder import OnnxEncoder

Array = np.ndarray[Any, Any]
Write = Callable[..., Path]
RECORDINGS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_wfdb: Write) -> Path:
    """Thirty recordings of one to five windows, at two rates, some refused: too short, damaged, one bad window."""
    place, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for number in range(RECORDINGS):
        rate = 100 if number % 3 else 250
        samples = rng.normal(0, 300, (int(rate * 2 * rng.uniform(1, 5)), 12)).astype(np.int16)
        if number == 4:
            samples = samples[:50]
        if number == 9:
            samples = np.resize(samples, (3 * 2 * rate, 12))
            samples[10, 3] = -32768
        leads = [lead for lead in STANDARD_LEADS if lead != "aVF" or number != 11]
        header = place / f"g{number % 2}" / f"r{number:02d}.hea"
        write_wfdb(header, samples[:, [STANDARD_LEADS.index(lead) for lead in leads]], rate, leads=leads)
        if number == 7:
            header.with_suffix(".mat").write_bytes(b"")
    signals = rng.normal(size=(3, 450, 12))
    np.savez(place / "z.npz", signals=signals, sampling_rate_hz=100, ids=["n0", "n1", "n2"])
    return place


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few recordings, so that a small folder has several."""
    monkeypatch.setattr(embed, "PART_WINDOWS", 12)


def by_hand(encoder: Path, folder: Path) -> dict[tuple[str, int], tuple[float, Array, Array]]:
    """Start, embedding and prediction of each window, one recording at a time."""
    one_at_a_time, found = OnnxEncoder(encoder), {}
    for recording in read_recordings(folder, rebuild_leads=True):
        if isinstance(recording, Recording):
            try:
                result = one_at_a_time.embed(recording.signals_mv, recording.sampling_rate_hz)
            except InputError:
                continue
            assert result.predictions is not None
            for window, *values in zip(
                result.windows, result.start_s, result.embeddings, result.predictions, strict=True
            ):
                found[recording.record_id, int(window)] = tuple(values)
    return found


@pytest.mark.usefixtures("small_parts")
def test_table_of_a_folder(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    """In the order of the paths, every window with its start, embedding and prediction; what is refused, listed."""
    done: list[int] = []

    class Bar:
        def update(self, n: int, /) -> None:
            done.append(n)

    def bar(recordings: int) -> Bar:
        assert recordings == RECORDINGS + 3
        return Bar()

    out = tmp_path / "o.npz"
    summary = embed_files(classifier_onnx, [folder], out, progress=bar).summary
    assert sum(done) == RECORDINGS + 3
    table, expected = np.load(out, allow_pickle=False), by_hand(classifier_onnx, folder)
    assert sorted(table.files) == sorted(
        ["ids", "windows", "start_s", "embeddings", "predictions", "names", "encoder_sha256"]
    )
    keys = list(zip(table["ids"].tolist(), table["windows"].tolist(), strict=True))
    assert keys == list(expected) and len(keys) > 60
    for row, (start_s, own, predicted) in enumerate(expected.values()):
        assert table["start_s"][row] == start_s
        np.testing.assert_allclose(table["embeddings"][row], own, atol=1e-6)
        np.testing.assert_allclose(table["predictions"][row], predicted, atol=1e-6)
    assert table["names"].tolist() == ["AFIB", "SB", "SR"]
    assert table["encoder_sha256"] == "0" * 64
    assert table["embeddings"].dtype == table["predictions"].dtype == np.float32
    with (tmp_path / "o.refused.csv").open() as stream:
        refused = {row["id"]: row["reason"] for row in csv.DictReader(stream)}
    assert {name: reason[:20] for name, reason in refused.items()} == {
        "r04": "length: 0.50 s, shor",
        "r07": "r07.mat is cut short",
        "r09": "window 0: finite: le",
    }
    assert (summary.end, summary.recordings, summary.rows) == (RECORDINGS + 3, RECORDINGS + 1, len(keys))
    assert (summary.refused_windows, summary.rebuilt) == (1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.npz", "o.refused.csv"]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("mean", [False, True])
def test_tables_of_all_forms_hold_the_same(classifier_onnx: Path, folder: Path, tmp_path: Path, mean: bool) -> None:
    for form in ("npz", "csv"):
        embed_files(classifier_onnx, [folder], tmp_path / f"o.{form}", mean=mean)
    table = np.load(tmp_path / "o.npz", allow_pickle=False)
    with (tmp_path / "o.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    start = ["id", "windows"] if mean else ["id", "window", "start_s"]
    predictions = [f"prediction:{name}" for name in ("AFIB", "SB", "SR")]
    assert list(rows[0]) == [*start, *predictions, *(f"e{number}" for number in range(12))]
    assert [row["id"] for row in rows] == table["ids"].tolist()
    for name, column in [("windows", start[1]), *([] if mean else [("start_s", "start_s")])]:
        np.testing.assert_array_equal(np.array([row[column] for row in rows], float), table[name])
    for name, columns in [("predictions", predictions), ("embeddings", [f"e{number}" for number in range(12)])]:
        values = np.array([[row[column] for column in columns] for row in rows], np.float32)
        np.testing.assert_array_equal(values, table[name])


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("mean", [False, True])
def test_parquet_holds_what_the_csv_file_does(classifier_onnx: Path, folder: Path, tmp_path: Path, mean: bool) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for form in ("csv", "parquet"):
        embed_files(classifier_onnx, [folder], tmp_path / f"o.{form}", mean=mean)
    table = parquet.read_table(tmp_path / "o.parquet")
    with (tmp_path / "o.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    numbers = [f"e{number}" for number in range(12)]
    assert table.column_names == [*(name for name in rows[0] if name not in numbers), "embedding"]
    assert table["id"].to_pylist() == [row["id"] for row in rows]
    for name in table.column_names[1:-1]:
        values = table[name].to_numpy()
        assert values.dtype == {"window": np.int64, "windows": np.int64, "start_s": np.float64}.get(name, np.float32)
        np.testing.assert_array_equal(values, np.array([row[name] for row in rows], values.dtype))
    assert table["embedding"].type.list_size == 12
    embeddings = np.stack(table["embedding"].to_numpy())
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings, np.array([[row[name] for name in numbers] for row in rows], np.float32))


@pytest.mark.usefixtures("small_parts")
def test_the_table_is_the_same_whoever_reads(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    """Bytes of the table: read and embedded by one thread, or by two processes and three threads."""
    tables = []
    for workers, threads in ((0, 1), (2, 3)):
        out = tmp_path / f"{workers}.npz"
        embed_files(classifier_onnx, [folder], out, workers=workers, threads=threads, batch_size=5)
        tables.append((out.read_bytes(), out.with_suffix(".refused.csv").read_bytes()))
    assert tables[0] == tables[1]


class Stop(Exception):  # noqa: N818 (it stands for a kill)
    """Ends a job as a kill does, though in order."""


@pytest.mark.usefixtures("small_parts")
def test_a_job_goes_on_where_it_was_stopped(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    """Wherever it is stopped, and also twice: the same bytes, and what was done is not done again."""
    embed_files(classifier_onnx, [folder], tmp_path / "alone.npz", batch_size=5)
    whole = (tmp_path / "alone.npz").read_bytes()
    out, done_before = tmp_path / "o.npz", []
    for stops in range(1, RECORDINGS + 3, 4):

        class Bar:
            def __init__(self, most: int) -> None:
                self.left = most

            def update(self, n: int, /) -> None:
                self.left -= n
                if self.left == 0:
                    raise Stop

        for most in (stops, max(1, stops // 3)):
            with pytest.raises(Stop):
                embed_files(
                    classifier_onnx, [folder], out, batch_size=5, progress=lambda left, most=most: Bar(min(most, left))
                )
            assert not out.exists()
        done_before.append(embed_files(classifier_onnx, [folder], out, batch_size=5).done_before)
        assert out.read_bytes() == whole
        assert not (tmp_path / "o.npz.parts").exists()
        out.unlink()
    assert done_before == sorted(done_before) and done_before[0] == 0 and done_before[-1] > RECORDINGS / 2


def started(encoder: Path, folder: Path, out: Path) -> Path:
    """The folder of a job that was stopped in its last part."""

    class Bar:
        left = RECORDINGS

        def update(self, n: int, /) -> None:
            self.left -= n
            if self.left == 0:
                raise Stop

    with pytest.raises(Stop):
        embed_files(encoder, [folder], out, batch_size=5, progress=lambda _: Bar())
    return out.with_name(f"{out.name}.parts")


@pytest.mark.usefixtures("small_parts")
def test_damaged_and_missing_parts_are_made_again(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    embed_files(classifier_onnx, [folder], tmp_path / "alone.npz", batch_size=5)
    whole, out = (tmp_path / "alone.npz").read_bytes(), tmp_path / "o.npz"
    for damage in ("cut", "flipped", "gone", "empty", "killed while writing"):
        parts = started(classifier_onnx, folder, out)
        path = sorted(parts.glob("part-*.npz"))[1]
        content = bytearray(path.read_bytes())
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "flipped":
            content[len(content) // 3] ^= 4
            path.write_bytes(content)
        elif damage == "gone":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            (parts / ".part-000007.1.tmp.npz").write_bytes(b"PK")
            (parts / ".table.npz").write_bytes(b"PK")
        embed_files(classifier_onnx, [folder], out, batch_size=5)
        assert out.read_bytes() == whole, damage
        assert not parts.exists()
        out.unlink()


@pytest.mark.usefixtures("small_parts")
def test_other_work_in_the_folder_is_refused(
    classifier_onnx: Path, lead_means_onnx: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.npz"
    parts = started(classifier_onnx, folder, out)
    for message, encoder, sources, options in (
        ("started with another encoder; remove it", lead_means_onnx, [folder], {}),
        ("started on other recordings; remove it", classifier_onnx, [folder / "g0"], {}),
        (
            "started with mean false instead of true, with batch_size 5 instead of 6;",
            classifier_onnx,
            [folder],
            {"mean": True, "batch_size": 6},
        ),
    ):
        with pytest.raises(InputError, match=f"o.npz.parts: was {message}") as caught:
            embed_files(encoder, sources, out, **({"batch_size": 5} | options))
        assert "\n" not in str(caught.value)
    (parts / "state.json").unlink()
    with pytest.raises(InputError, match=r"o\.npz\.parts: is in the way"):
        embed_files(classifier_onnx, [folder], out, batch_size=5)
    assert not out.exists()


@pytest.mark.usefixtures("small_parts")
def test_two_jobs_for_one_table_at_a_time(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    """The second is refused while the first is at work, and harms nothing."""
    out = tmp_path / "o.npz"

    class Bar:
        tried = False

        def update(self, _: int, /) -> None:
            if not self.tried and (tmp_path / "o.npz.parts").exists():
                self.tried = True
                with pytest.raises(InputError, match="another process is at work there"):
                    embed_files(classifier_onnx, [folder], out)

    bar = Bar()
    embed_files(classifier_onnx, [folder], out, progress=lambda _: bar)
    assert bar.tried
    assert len(np.load(out)["ids"]) == len(by_hand(classifier_onnx, folder))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("room", [3_000, 6_000])
def test_a_full_disk_is_reported_and_the_job_goes_on(
    classifier_onnx: Path, folder: Path, tmp_path: Path, room: int
) -> None:
    """Files of at most ``room`` bytes: not even a part has room, or the table has none."""
    embed_files(classifier_onnx, [folder], tmp_path / "alone.npz")
    out, limits = tmp_path / "o.npz", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(
            InputError, match=r"could not be written \(File too large, .* are free\); free some"
        ) as caught:
            embed_files(classifier_onnx, [folder], out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    parts = tmp_path / "o.npz.parts"
    assert not out.exists() and not [path for path in parts.iterdir() if "tmp" in path.name]
    done = embed_files(classifier_onnx, [folder], out)
    assert done.done_before == (0 if room == 3_000 else RECORDINGS + 3)
    assert out.read_bytes() == (tmp_path / "alone.npz").read_bytes()
    assert not parts.exists()


def test_a_small_job_makes_no_folder(
    classifier_onnx: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecg_advmask.export.tables.write_json", lambda *_: pytest.fail("began a folder"))
    embed_files(classifier_onnx, [folder / "g0"], tmp_path / "o.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.npz", "o.refused.csv"]


@pytest.mark.usefixtures("small_parts")
def test_a_folder_of_which_nothing_can_be_used(classifier_onnx: Path, tmp_path: Path) -> None:
    for number in range(20):
        np.save(tmp_path / f"{number:02d}.npy", np.zeros((200, 12)))
    out = tmp_path / "o.csv"
    with pytest.raises(InputError, match=r"00\.npy: no usable window; .*; nothing was embedded, .*o\.refused\.csv"):
        embed_files(classifier_onnx, [tmp_path], out, sampling_rate_hz=100)
    assert not out.exists() and not (tmp_path / "o.csv.parts").exists()
    with (tmp_path / "o.refused.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 20


def test_a_reader_that_dies_is_reported(classifier_onnx: Path, folder: Path, tmp_path: Path) -> None:
    import multiprocessing

    class Bar:
        def update(self, _: int, /) -> None:
            for process in multiprocessing.active_children():
                process.kill()

    with pytest.raises(InputError, match="a reading process died") as caught:
        embed_files(classifier_onnx, [folder], tmp_path / "o.npz", batch_size=1, workers=1, progress=lambda _: Bar())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("finished", [(1, 5), pytest.param(range(1, 9), marks=pytest.mark.exhaustive)])
def test_a_command_that_is_killed_goes_on(
    classifier_onnx: Path, folder: Path, tmp_path: Path, finished: Sequence[int]
) -> None:
    """SIGKILL when that number of parts is finished: nothing is left behind, and the bytes are the same."""
    script = [
        "import sys, time",
        "from ecg_advmask.cli import main",
        "from ecg_advmask.export import embed",
        "embed.PART_WINDOWS = 8",
        "add = embed.Parts.add",
        "embed.Parts.add = lambda *given: (add(*given), time.sleep(0.15))",
        "if __name__ == '__main__': main(sys.argv[1:])",
    ]
    (tmp_path / "slowly.py").write_text("\n".join(script))

    def command(out: Path) -> list[str]:
        return [
            sys.executable,
            str(tmp_path / "slowly.py"),
            "embed",
            str(classifier_onnx),
            str(folder),
            "--out",
            str(out),
        ]

    subprocess.run(command(tmp_path / "alone.npz"), check=True, capture_output=True)
    out = tmp_path / "o.npz"
    for parts in finished:
        process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(tmp_path.glob("o.npz.parts/part-*.npz"))) < parts:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
    subprocess.run(command(out), check=True, capture_output=True)
    assert out.read_bytes() == (tmp_path / "alone.npz").read_bytes()
    assert (tmp_path / "o.refused.csv").read_bytes() == (tmp_path / "alone.refused.csv").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "o.npz."))]
