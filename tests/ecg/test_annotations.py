"""Which sample is part of which wave, against a slow loop and at the edges."""

import numpy as np

from ecg_advmask.ecg.annotations import PARTS, REST, UNKNOWN, Wave, WaveAnnotations, parts_at

P, QRS, T = (PARTS.index(name) for name in ("P", "QRS", "T"))


def slow_parts(marks, times_s):
    """Sample by sample, for marks without unclear ones."""
    found = []
    for time in times_s:
        inside = {wave.name for wave in marks.waves if wave.onset_s - 1e-9 <= time <= wave.end_s + 1e-9}
        if not marks.first_s <= time <= marks.last_s:
            found.append(UNKNOWN)
        else:
            found.append(next((PARTS.index(name) for name in ("QRS", "P", "T") if name in inside), REST))
    return found


def test_samples_match_a_slow_loop_also_where_waves_overlap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        onsets_s = np.sort(rng.uniform(0, 10, 20))
        waves = tuple(
            Wave(rng.choice(["P", "QRS", "T"]), onset, onset + length)
            for onset, length in zip(onsets_s.tolist(), rng.uniform(0.01, 0.6, 20).tolist(), strict=True)
        )
        marks = WaveAnnotations(waves, waves[0].onset_s, max(wave.end_s for wave in waves))
        times_s = rng.uniform(0, 2) + np.arange(700) / 100
        assert parts_at(marks, times_s).tolist() == slow_parts(marks, times_s)


def test_both_ends_of_a_wave_belong_to_it_and_outside_the_marks_nothing_is_known():
    marks = WaveAnnotations((Wave("P", 0.1, 0.3), Wave("QRS", 0.5, 0.7)), 0.1, 0.7)
    parts = parts_at(marks, np.arange(10) / 10)  # 0.3 and 0.7 are no binary fractions
    assert parts.tolist() == [UNKNOWN, P, P, P, REST, QRS, QRS, QRS, UNKNOWN, UNKNOWN]


def test_an_unclear_mark_hides_the_stretch_between_the_waves_around_it():
    marks = WaveAnnotations((Wave("P", 0.1, 0.2), Wave("T", 0.7, 0.8)), 0.1, 0.9, unclear_s=(0.5,))
    parts = parts_at(marks, np.arange(11) / 10)
    assert parts.tolist() == [UNKNOWN, P, P, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, T, T, REST, UNKNOWN]
    at_the_end = WaveAnnotations((Wave("P", 0.1, 0.2),), 0.1, 0.5, unclear_s=(0.5,))
    assert parts_at(at_the_end, np.arange(7) / 10).tolist() == [UNKNOWN, P, P, *[UNKNOWN] * 4]


def test_marks_on_a_later_clock_move_as_a_whole():
    marks = WaveAnnotations((Wave("T", 0.25, 0.5),), 0.125, 1.0, (0.75,))
    times_s = np.arange(20) / 8
    assert parts_at(marks.later_by(1.0), times_s + 1.0).tolist() == parts_at(marks, times_s).tolist()
    assert marks.later_by(1.0) == WaveAnnotations((Wave("T", 1.25, 1.5),), 1.125, 2.0, (1.75,))
