"""Embedding files and folders of any size into one table: read ahead, in bounded memory, resumable after a kill."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from ecg_advmask.ecg.leads import AS_NAMED, LeadNames
from ecg_advmask.ecg.shift import FEWEST_WINDOWS, MOST_WINDOWS, Shift
from ecg_advmask.ecg.sources import (
    Entry,
    FileSource,
    RecordingSource,
    Refused,
    SourceOptions,
    Windowing,
    read_or_refuse,
)
from ecg_advmask.errors import InputError
from ecg_advmask.export.encoder import Embedder, OnnxEncoder, Windowed, windows_to_embed
from ecg_advmask.export.rows import Collector, EmbeddingSummary, Part, Result, embed_windowed
from ecg_advmask.export.tables import WRITERS, Parts, check_table
from ecg_advmask.files import room_errors, write_csv
from ecg_advmask.workers import ProgressBar, processors, worker_pool

# ---- Recordings read, resampled, checked and cut by processes of their own, while others are embedded.
#
# The recordings come in the order in which they were listed, whoever read them.

_AHEAD: Final = 2
"""Tasks of each process ahead of what is embedded."""
_AT_A_TIME: Final = 8
_FEW_WINDOWS: Final = 16
"""A task reads this many recordings, as handing it over takes about as long as reading one; fewer if they are long."""


def read_windows(
    source: RecordingSource, entries: Iterable[Entry], windowing: Windowing, workers: int = 0
) -> Generator[Windowed, None, None]:
    """Read recordings and cut them into windows.

    Args:
        source: what reads them.
        entries: what to read, in this order.
        windowing: the form of the windows.
        workers: processes that read; with 0 this one does.

    Raises:
        InputError: a process died.
    """
    if workers == 0:
        for entry in entries:
            yield _read(source, windowing, entry)
        return
    with worker_pool(workers) as pool:

        def submit(some: tuple[Entry, ...]) -> tuple[tuple[Entry, ...], Future[list[Windowed]]]:
            return some, pool.submit(_read_some, source, windowing, some)

        left = iter(entries)
        ahead: deque[tuple[tuple[Entry, ...], Future[list[Windowed]]]] = deque()
        while True:
            while len(ahead) <= _AHEAD * workers and (some := tuple(islice(left, _AT_A_TIME))):
                ahead.append(submit(some))
            if not ahead:
                return
            asked, reading = ahead.popleft()
            read = reading.result()
            yield from read
            if rest := asked[len(read) :]:
                ahead.appendleft(submit(rest))


def _read_some(source: RecordingSource, windowing: Windowing, entries: Sequence[Entry]) -> list[Windowed]:
    """The first of the entries, and the next ones while all their windows are few."""
    read: list[Windowed] = []
    windows = 0
    for entry in entries:
        read.append(_read(source, windowing, entry))
        outline = read[-1][0]
        windows += 0 if isinstance(outline, Refused) else len(outline.start_s)
        if windows > _FEW_WINDOWS:
            break
    return read


def _read(source: RecordingSource, windowing: Windowing, entry: Entry) -> Windowed:
    return windows_to_embed(read_or_refuse(source, entry), windowing)


SIMPLE: Final = "simple"
"""The name of simple features in the place of an encoder's."""

PART_WINDOWS: Final = 1024
"""A part ends with the recording that brings it to this many windows; each recording counts as one more."""

FEW_RECORDINGS: Final = 256
"""Up to this many recordings are read faster without further processes."""

MOST_BATCHES_AT_A_TIME: Final = 4
"""Each takes memory of its own; more cores than that share in each."""


@dataclass(frozen=True)
class Embedded:
    """What became of an embedding job: the account of its recordings, and how many an earlier run had done.

    ``ignored`` has a line for each kind of file among the sources that is no recording. ``shift`` is how the recordings
    differ from those that the encoder was pretrained on; None where that is not known, or they are too few.
    """

    summary: EmbeddingSummary
    done_before: int
    embedding_dim: int
    ignored: tuple[str, ...] = ()
    shift: Shift | None = None


def embed_files(
    encoder_path: str | os.PathLike[str],
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    sampling_rate_hz: float | None = None,
    unit: str = "mV",
    min_seconds: float | None = None,
    follow_links: bool = False,
    leads: LeadNames = AS_NAMED,
    mean: bool = False,
    batch_size: int = 32,
    threads: int | None = None,
    workers: int | None = None,
    progress: Callable[[int], ProgressBar] | None = None,
) -> Embedded:
    """Embed every recording of files and folders, and write the table ``out``.

    Work that takes longer is kept in the folder ``<out>.parts`` until it is complete; after an interruption the same
    call continues there. The table is the same to the last bit however often that was, and whatever ``threads`` and
    ``workers`` are. What could not be used goes to ``<out without its ending>.refused.csv``, with the reason.

    Args:
        encoder_path: a file that `ecg-advmask export` wrote, or what else `OnnxEncoder.from_pretrained` takes; or
            ``simple``, for `ecg_advmask.export.simple.SimpleFeatures`.
        sources: folders (searched with their subfolders) and files of recordings: WFDB, CSV, NumPy. Limb leads that
            they lack are rebuilt where they follow from the others.
        out: the table, by its ending NPZ, CSV or Parquet.
        sampling_rate_hz, unit: of files that do not state theirs.
        min_seconds: shorter recordings are refused, those up to a window's length padded; by default half a window.
        follow_links: follow symbolic links.
        leads: names for nameless columns, or leads for the names that files have.
        mean: one embedding per recording, the mean over its windows, instead of one per window.
        batch_size: windows that go through the network at once.
        threads: threads that embed; by default one for each processor that may be used.
        workers: processes that read; by default one for each processor, but none for a few recordings.
        progress: makes a progress bar for the number of recordings that are left to do.

    Raises:
        InputError: a file or setting does not serve, ``<out>.parts`` holds other work, or nothing could be embedded.
    """
    table = Path(out)
    check_table(table)
    options = SourceOptions(sampling_rate_hz=sampling_rate_hz, unit=unit, leads=leads, follow_links=follow_links)
    cores = processors()
    batches = min(threads or cores, MOST_BATCHES_AT_A_TIME)
    encoder = _opened(encoder_path, max(1, (threads or cores) // batches))
    windowing = encoder.windowing if min_seconds is None else encoder.windowing.with_shortest(min_seconds)
    source = FileSource(options, paths=tuple(map(Path, sources)), exclude=(table, refused_path(table)))
    listed = list(source.entries())
    if not listed:
        raise InputError(f"{', '.join(map(str, sources))}: no recordings inside, nothing was embedded")
    state = {
        "encoder_file_sha256": encoder.sha256,
        "listing_sha256": _digest(listed),
        "mean": mean,
        "batch_size": batch_size,
        "sampling_rate_hz": sampling_rate_hz,
        "unit": unit,
        "shortest_samples": windowing.shortest_samples,
        **({"leads": str(leads)} if leads != AS_NAMED else {}),
    }
    room = room_errors(table.parent, "run the same command again, which continues where it stopped")
    with room, Parts(table.with_name(f"{table.name}.parts"), state, len(listed)) as parts:
        done_before = parts.end
        left = listed[done_before:]
        if workers is None:
            workers = cores if len(left) > FEW_RECORDINGS else 0
        bar = progress(len(left)) if progress else None
        with closing(read_windows(source, left, windowing, workers)) as windowed:
            results = embed_windowed(encoder, _divided(windowed), batch_size, batches)
            for part in _parts(results, done_before, mean, bar):
                parts.add(part)
        summary = EmbeddingSummary()
        for part in parts:
            summary.include(part.summary)
        first = _write_refused(refused_path(table), parts)
        if summary.rows == 0:
            parts.remove()
            raise InputError(f"{first}; nothing was embedded, {refused_path(table)} says why")
        with parts.path_for(table) as temporary:
            WRITERS[table.suffix](temporary, parts, encoder)
        parts.remove()
    shift = _shift(encoder, source, listed)
    return Embedded(summary, done_before, encoder.embedding_dim, tuple(source.ignored.lines()), shift)


def _opened(encoder_path: str | os.PathLike[str], threads: int) -> Embedder:
    if os.fspath(encoder_path) == SIMPLE:
        from ecg_advmask.export.simple import SimpleFeatures

        return SimpleFeatures()
    return OnnxEncoder.from_pretrained(encoder_path, threads=threads)


def _shift(encoder: Embedder, source: RecordingSource, listed: Sequence[Entry]) -> Shift | None:
    """Random recordings, read once more, compared with those that the encoder was pretrained on."""
    if encoder.reference is None or len(listed) < FEWEST_WINDOWS:
        return None
    order = np.random.default_rng(0).permutation(len(listed)).tolist()
    windowing = replace(encoder.windowing, shortest_samples=None, most_windows=1)
    read = read_windows(source, (listed[place] for place in order[: 2 * MOST_WINDOWS]), windowing)
    windows = list(islice((window for _, windows in read for window in windows), MOST_WINDOWS))
    if len(windows) < FEWEST_WINDOWS:
        return None
    return encoder.reference.compare(np.stack(windows), encoder.sampling_rate_hz)


def refused_path(table: Path) -> Path:
    """The list of what could not be used, beside the table."""
    return table.with_suffix(".refused.csv")


def _parts(results: Iterable[Result | None], first: int, mean: bool, bar: ProgressBar | None) -> Iterator[Part]:
    """Results put together to parts, which marks end."""
    collector = Collector(first, mean=mean)
    for result in results:
        if result is None:
            yield collector.part()
            collector = Collector(collector.summary.end, mean=mean)
            continue
        collector.add(result)
        if bar is not None:
            bar.update(1)


def _divided(recordings: Iterable[Windowed]) -> Iterator[Windowed | None]:
    """Recordings with a mark where a part ends: by their windows alone, so that parts are the same in every run."""
    size = 0
    for recording in recordings:
        yield recording
        size += 1 if isinstance(recording[0], Refused) else 1 + len(recording[0].windows)
        if size >= PART_WINDOWS:
            yield None
            size = 0
    if size:
        yield None


def _digest(listed: Iterable[Entry]) -> str:
    """SHA-256 over what is known of recordings before they are read."""
    digest = hashlib.sha256()
    for one in listed:
        digest.update(repr((one.record_id, one.file, one.number, one.refusal)).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _write_refused(path: Path, parts: Iterable[Part]) -> str:
    """Write the list of what could not be used, or remove an old one; returns what is first in it."""
    first = next((row for part in parts for row in part.summary.refused), None)
    path.unlink(missing_ok=True)
    if first is None:
        return ""
    write_csv(path, ["id", "file", "reason"], (row for part in parts for row in part.summary.refused))
    return f"{first['file']}: {first['reason']}"
