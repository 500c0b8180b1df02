"""Damage to CSV files of samples."""

import os
from collections.abc import Callable
from random import Random

import numpy as np

from ecg_advmask.ecg.leads import STANDARD_LEADS
from hostile.archive import Place, csv_text
from hostile.damage import Ends, damages, spoil_bytes


def rewritten(name: str, ends: Ends, alter: Callable[[str, Random], str], reason: str = "") -> None:
    """Enter a damage that alters the text of the victim."""

    def do(place: Place, random: Random) -> None:
        place.victim.write_text(alter(place.victim.read_text(), random), newline="")

    do.__name__ = name
    damages("csv", ends, reason)(do)


def cell(*values: str) -> Callable[[str, Random], str]:
    """Replace one cell, not in the row of names, by one of these."""

    def alter(text: str, random: Random) -> str:
        rows = [row.split(",") for row in text.splitlines()]
        random.choice(rows[1:])[random.randrange(12)] = random.choice(values)
        return "\n".join(",".join(row) for row in rows)

    return alter


def header(*rows: str) -> Callable[[str, Random], str]:
    """Replace the row of names by one of these."""
    return lambda text, random: f"{random.choice(rows)}\n{text.partition(chr(10))[2]}"


NAMES = ",".join(STANDARD_LEADS)

rewritten("csv_cut_anywhere", "stated", lambda text, random: text[: random.randrange(len(text))])
rewritten("csv_characters_altered", "stated", lambda text, random: _altered(text, random))  # noqa: PLW0108 (defined below)
rewritten("csv_separated_otherwise", "kept", lambda text, random: text.replace(",", random.choice(";\t| ")))
rewritten("csv_separated_by_other_characters", "refused", lambda text, random: text.replace(",", random.choice(":/")))
rewritten("csv_decimal_commas", "kept", lambda text, _: text.replace(",", ";").replace(".", ","))
rewritten("csv_decimal_commas_and_commas", "refused", lambda text, _: text.replace(".", ","))
rewritten(
    "csv_quoted_numbers",
    "kept",
    lambda text, _: "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in text.splitlines()),
)
rewritten("csv_quote_left_open", "refused", lambda text, random: _inserted(text, '"', random))
rewritten("csv_ragged_rows", "refused", lambda text, random: _ragged(text, random))  # noqa: PLW0108 (defined below)
rewritten(
    "csv_empty", "refused", lambda _, random: random.choice(["", "\n", " ", "\r\n\r\n", "\ufeff", "\t"]), "no samples"
)
rewritten("csv_names_alone", "refused", lambda _, random: random.choice([NAMES, f"{NAMES}\n", f"\n{NAMES}\n\n"]))
rewritten(
    "csv_of_one_row", "refused", lambda text, random: "\n".join(text.splitlines()[: random.choice([2, 3])]), "length"
)
rewritten("csv_with_a_byte_order_mark", "kept", lambda text, _: "\ufeff" + text)
rewritten("csv_with_other_line_ends", "kept", lambda text, random: text.replace("\n", random.choice(["\r\n", "\r"])))
rewritten("csv_with_mixed_line_ends", "kept", lambda text, random: _mixed(text, random))  # noqa: PLW0108 (defined below)
rewritten("csv_with_blanks_about", "kept", lambda text, _: text.replace(",", " , "))
rewritten("csv_with_an_empty_row", "refused", lambda text, random: _row(text, "", random), "finite")
rewritten(
    "csv_with_a_row_of_words",
    "refused",
    lambda text, random: _row(
        text, random.choice([",".join(["mV"] * 12), NAMES, "# remark", "sep=,", "end of file"]), random
    ),
)
rewritten("csv_sep_line_of_a_spreadsheet", "kept", lambda text, _: "sep=,\n" + text)
rewritten("csv_of_eleven_names", "refused", header(NAMES[3:], NAMES.rpartition(",")[0]))
rewritten("csv_of_thirteen_names", "refused", header(f"{NAMES},V7", f"time,{NAMES}"))
rewritten("csv_of_a_name_twice", "refused", header(NAMES.replace("V6", "V5"), NAMES.replace("III", "ii")), "twice")
rewritten(
    "csv_of_unknown_names",
    "refused",
    header(NAMES.lower().replace("v", "x"), ",".join("abcdefghijkl"), "," * 11, "I" * 12),
)
rewritten("csv_of_names_partly_numbers", "refused", header(NAMES.replace("V6", "12"), NAMES.replace("II,", "")))
rewritten(
    "csv_index_of_pandas",
    "kept",
    lambda text, _: "\n".join(f"{number - 1 if number else ''},{row}" for number, row in enumerate(text.splitlines())),
)
rewritten("csv_leads_in_any_order", "kept", lambda text, random: _shuffled(text, random))  # noqa: PLW0108 (defined below)
rewritten("csv_cell_huge", "refused", cell("1e300", "1e38", "-1e39", "9" * 400, "123456789012345678901234567890"), "")
rewritten("csv_cell_infinite", "refused", cell("inf", "-inf", "1e400", "Infinity", "-1e999"))
rewritten("csv_cell_missing", "refused", cell("", "NaN", "nan", "NA", "null", "None", "#N/A", "n/a", " "), "finite")
rewritten(
    "csv_cell_no_number",
    "refused",
    cell(
        "x",
        "True",
        "False",
        "0x10",
        "1_0",
        "1 0",
        "1e",
        "--1",
        "1.2.3",
        "١٢",
        "１",
        "−1",
        "=1+1",
        "1+2j",
        "2020-01-01",
        "0.1f",
        "e5",
        ".",
        "$1",
        "1,",
        "'1",
        "[0]",
        "1d5",
        "1'000",
    ),
)
rewritten(
    "csv_cell_written_otherwise",
    "stated",
    cell("+0.5", "5e-1", ".5", "5.e-1", "0000.5", "0.5E0", "-0", "1e-400", '"0.5"'),
)
rewritten(
    "csv_first_row_of_words_for_numbers",
    "stated",
    lambda text, random: "\n".join(
        [
            ",".join([random.choice(["nan", "inf", "", "1_0", "١", "0x1", "NA", "-"]), *["0.1"] * 11]),
            *text.splitlines()[1:],
        ]
    ),
)
rewritten(
    "csv_rows_of_true_and_false",
    "refused",
    lambda _, random: "\n".join([NAMES, *[",".join(random.choice(["True", "False"]) for _ in range(12))] * 200]),
)
rewritten(
    "csv_all_of_one_value",
    "refused",
    lambda _, random: "\n".join([",".join([random.choice("0159")] * 12)] * 200),
    "flat",
)
rewritten("csv_of_microvolts", "refused", lambda text, _: text.replace("0.", ""), "amplitude")
rewritten("csv_of_zero_bytes", "refused", lambda text, random: _inserted(text, "\0" * random.randint(1, 9), random))
rewritten(
    "csv_of_another_thing",
    "refused",
    lambda _, random: random.choice(
        [
            "<html><body>404</body></html>",
            '{"signals": []}',
            "victim 12 100 200\n",
            "version https://git-lfs.github.com/spec/v1\n",
            "%PDF-1.4\n",
            "PK\x03\x04",
            "#!/bin/sh\nrm -rf /\n",
            "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6\n1 2 3\n",
        ]
    ),
)


@damages("csv", "stated")
def csv_bytes_altered(place: Place, random: Random) -> None:
    place.victim.write_bytes(spoil_bytes(place.victim.read_bytes(), random))


@damages("csv", "refused")
def csv_of_random_bytes(place: Place, random: Random) -> None:
    place.victim.write_bytes(np.random.default_rng(random.randrange(2**32)).bytes(random.randint(1, 5000)))


@damages("csv", "refused")
def csv_in_another_encoding(place: Place, random: Random) -> None:
    text = place.victim.read_text()
    place.victim.write_bytes(text.encode(random.choice(["utf-16", "utf-16-le", "utf-32", "cp037", "utf-7"])) + b"\xe4")


@damages("csv", "refused", claims=True)
def csv_of_one_line_of_ten_million_characters(place: Place, random: Random) -> None:
    line = (random.choice(["1", "1,", '"', "x", " ", ",", "\r", "1e9"]) * 10_000_000)[:10_000_000]
    place.victim.write_text(random.choice(["", f"{NAMES}\n", place.victim.read_text()]) + line, newline="")


@damages("csv", "refused", claims=True)
def csv_of_nothing_but_size(place: Place, _random: Random) -> None:
    os.truncate(place.victim, 2 * 10**12)


@damages("csv", "refused")
def csv_that_is_no_file(place: Place, random: Random) -> None:
    place.victim.unlink()
    if random.random() < 0.5:
        os.mkfifo(place.victim)
    else:
        place.victim.symlink_to(
            random.choice(["../outside/bait.csv", place.outside / "bait.csv", "/dev/zero", "victim.csv"])
        )


@damages("csv", "stated")
def csv_of_other_length(place: Place, random: Random) -> None:
    values = np.concatenate([place.values_uv] * 3)[: random.randint(1, 600)]
    place.victim.write_text(csv_text(values / 1000, random.choice([(), STANDARD_LEADS])))


def _altered(text: str, random: Random) -> str:
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text))
        text = text[:at] + random.choice("0123456789.,;-+eE \"'\t\n_nIV") + text[at + random.randint(0, 1) :]
    return text


def _inserted(text: str, what: str, random: Random) -> str:
    at = random.randrange(len(text))
    return text[:at] + what + text[at:]


def _row(text: str, row: str, random: Random) -> str:
    rows = text.splitlines()
    rows.insert(random.randint(2, len(rows) - 1), row)
    return "\n".join(rows)


def _ragged(text: str, random: Random) -> str:
    rows = text.splitlines()
    at = random.randrange(1, len(rows))
    rows[at] = random.choice(
        [rows[at] + ",1", rows[at] + ",", rows[at].rpartition(",")[0], rows[at][:1], "," + rows[at]]
    )
    return "\n".join(rows)


def _mixed(text: str, random: Random) -> str:
    return "".join(row + random.choice(["\n", "\r\n", "\r"]) for row in text.splitlines())


def _shuffled(text: str, random: Random) -> str:
    order = random.sample(range(12), 12)
    return "\n".join(",".join(row.split(",")[lead] for lead in order) for row in text.splitlines())
