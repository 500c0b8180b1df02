"""A plausible ``results.json`` of a study, every derived number computed from one set of resampled values."""

import zlib

import numpy as np

from ecg_advmask import presets

METHODS = (
    ("Block mask", "pretrained", "cpu-block-mask", 0.78),
    ("Untrained", "random", "cpu-block-mask", 0.57),
    ("Gaussian noise", "pretrained", "cpu-gaussian", 0.65),
    ("Sync block mask", "pretrained", "cpu-sync-block-mask", 0.77),
    ("3KG", "pretrained", "cpu-3kg", 0.79),
    ("Adv Mask", "pretrained", "cpu-advmask", 0.79),
    ("Adv Mask, N = 4", "pretrained", "cpu-n4", 0.78),
    ("Sparsity only", "pretrained", "cpu-sparsity-only", 0.74),
    ("Frozen adversary", "pretrained", "cpu-frozen-adversary", 0.73),
    ("Adv Mask + 3KG", "pretrained", "cpu-advmask-3kg", 0.82),
    ("Adv Mask + block mask", "pretrained", "cpu-advmask-block", 0.81),
    ("From scratch", "scratch", "cpu-block-mask", 0.55),
)
"""Name, kind, preset, AUROC with few labels."""
TASKS = {
    "rhythm": ("classes", ["AFIB", "GSVT", "SB", "SR"]),
    "sex": ("classes", ["female", "male"]),
    "age": ("number", ["years"]),
    "diagnosis": ("labels", ["AF", "IAVB", "LAD", "LBBB", "NSR", "QAb", "RBBB", "SB", "STach", "TAb"]),
}
COUNTS = ((25.0, 25), (50.0, 50), (100.0, 100), (250.0, 250), (1.0, 584))
BASELINE = "Block mask"
_RESAMPLES = 200


def study_result(tasks=tuple(TASKS), methods=METHODS, baseline=BASELINE, counts=COUNTS, seed=0, compare=()):
    """The content of a ``results.json``; ``methods`` and ``tasks`` as in `METHODS` and `TASKS`, ``compare`` pairs of
    names."""
    values = {
        (task, method[0], fraction): _values(task, method, labels, fraction, seed)
        for task in tasks
        for method in methods
        for fraction, labels in counts
    }
    summary, differences, confusion = [], [], []
    for task in tasks:
        kind, names = TASKS[task]
        for name, *_ in methods:
            for fraction, labels in counts:
                summary.append(_summary(task, name, fraction, labels, values[task, name, fraction]))
                if name != baseline:
                    pair = values[task, name, fraction], values[task, baseline, fraction]
                    differences.append(_difference(task, name, baseline, fraction, labels, *pair))
            if kind == "classes":
                about = {"task": task, "method": name, "labels": counts[-1][1]}
                confusion.append(about | {"counts": _confusion(name, len(names))})
    for task in tasks:
        for first, second in compare:
            for fraction, labels in counts:
                pair = values[task, first, fraction], values[task, second, fraction]
                differences.append(_difference(task, first, second, fraction, labels, *pair))
    described = {"name": "ptbxl", "sha256": "d" * 64, "sampling_rate_hz": 100, "window_samples": 1000}
    sources = {"ptb-xl": {"recordings_in": 2394, "recordings_kept": 2371, "recordings_refused": 23,
                          "windows_kept": 2371, "reasons": {"flat lead": 17, "not finite": 6}}}  # fmt: skip
    data = described | {"layout": "cinc2021", "sources": sources, "generated": False}
    protocol = {"pretraining_share": 0.6, "seeds": [0, 1, 2], "fractions": [c[0] for c in counts],
                "draws": 20, "seed": 0, "shares": [0.5, 0.1, 0.4], "split_seed": 0, "resamples": _RESAMPLES,
                "head": "lbfgs", "penalty": "validation", "level": 0.95,
                "intervals_over": ["seeds", "draws", "patients"], "stratify": []}  # fmt: skip
    return {
        "format_version": 1,
        "kind": "study",
        "name": "PTB-XL, few labels",
        "question": "Is adversarial masking worth more than random block masks when labels are few?",
        "baseline": baseline,
        "compare": [list(pair) for pair in compare],
        "study": {"name": "PTB-XL, few labels", "protocol": {"draws": 20}},
        "protocol": protocol,
        "data": {"pretraining": data, "evaluation": data},
        "methods": [_method(*method[:3]) for method in methods],
        "tasks": [_task(task) for task in tasks],
        "summary": summary,
        "differences": differences,
        "confusion": confusion,
        "confirmed": [],
        "recommendation": None,
        "training": [_training(name, one) for name, kind, *_ in methods if kind == "pretrained" for one in range(3)],
        "missing": [],
        "versions": {"ecg-advmask": "0.1.0", "python": "3.11.7", "keras": "3.15.0", "tensorflow": "2.21.0"},
    }


def _rng(*words):
    return np.random.default_rng(zlib.crc32(repr(words).encode()))


def _seeds(kind):
    return (0,) if kind == "scratch" else (0, 1, 2)


def _values(task, method, labels, fraction, seed):
    """Metric -> (values (seeds, draws), resampled values of their mean (resamples,)) of a method."""
    name, kind, _, start = method
    draws = 1 if fraction == 1 else 3 if kind == "scratch" else 20
    target, names = TASKS[task]
    known = np.log(labels / 25) / np.log(584 / 25)
    weight = {"rhythm": 1.0, "sex": 0.4, "diagnosis": 0.8, "age": 1.0}[task]
    level = 0.5 + weight * (start - 0.5 + (0.95 - start) * 0.7 * known)
    own, shared = _rng(seed, task, name, labels), _rng(seed, task)
    seeds = _rng(seed, task, name).normal(0, 0.012, (len(_seeds(kind)), 1))
    drawn = level + seeds + own.normal(0, 0.035 * (1 - 0.6 * known) if draws > 1 else 0, (len(seeds), draws))
    test = shared.normal(0, 0.013, _RESAMPLES) + own.normal(0, 0.009, _RESAMPLES)
    if target == "number":
        return {
            "mae": (17 - 12 * (drawn - 0.5), 17 - 12 * (drawn.mean() + test - 0.5)),
            "r2": (1.6 * (drawn - 0.5), 1.6 * (drawn.mean() + test - 0.5)),
        }
    offsets = {"macro_auroc": 0.0, "macro_average_precision": -0.15, "macro_f1": -0.2}
    if target == "classes":
        offsets = {"accuracy": -0.08, "balanced_accuracy": -0.12} | offsets
    found = {metric: (drawn + shift, drawn.mean() + shift + test) for metric, shift in offsets.items()}
    found["calibration_error"] = (0.3 - 0.25 * drawn, 0.3 - 0.25 * (drawn.mean() + test))
    for index, one in enumerate(names):
        shift = 0.06 * (index / max(len(names) - 1, 1) - 0.5)
        found[f"auroc:{one}"] = (drawn + shift, drawn.mean() + shift + 1.5 * test)
    return found


def _limits(resampled):
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"low": float(low), "high": float(high)}


def _summary(task, name, fraction, labels, values):
    metrics = {}
    for metric, (drawn, resampled) in values.items():
        by_seed = drawn.mean(axis=1)
        metrics[metric] = {
            "mean": float(drawn.mean()),
            **_limits(resampled),
            "sd_over_draws": float(np.sqrt(drawn.var(axis=1, ddof=1).mean())) if drawn.shape[1] > 1 else None,
            "sd_over_seeds": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
            "by_seed": {str(one): float(value) for one, value in enumerate(by_seed)},
        }
    seeds, draws = next(iter(values.values()))[0].shape
    about = {
        "task": task,
        "method": name,
        "fraction": fraction,
        "labels": labels,
        "draws": draws,
        "seeds": list(range(seeds)),
    }
    return about | {"metrics": metrics}


def _difference(task, name, other, fraction, labels, first, second):
    metrics = {}
    for metric, (drawn, resampled) in first.items():
        others, other_resampled = second[metric]
        common = min(len(drawn), len(others))
        by_seed = drawn.mean(axis=1)[:common] - others.mean(axis=1)[:common]
        metrics[metric] = {
            "mean": float(drawn.mean() - others.mean()),
            **_limits(resampled - other_resampled),
            "by_seed": {str(one): float(value) for one, value in enumerate(by_seed)},
        }
    about = {"task": task, "first": name, "second": other, "fraction": fraction, "labels": labels}
    return about | {"seeds": [len(one[metric][0]) for one in (first, second)], "metrics": metrics}


def _confusion(name, classes):
    rng = _rng("confusion", name)
    return (rng.integers(5, 60, (classes, classes)) + 300 * np.eye(classes, dtype=int)).tolist()


def _method(name, kind, preset):
    settings = {"epochs": 20} | ({"alpha": 1.0} if "advmask" in preset else {})
    return {"name": name, "kind": kind, "preset": preset, "about": f"What {name} is, in the words of its preset.",
            "preset_settings": {key: value for key, value in presets.settings(preset).items() if key != "about"},
            "settings": settings, "seeds": list(_seeds(kind)), "draws": 3 if kind == "scratch" else 20,
            "of": None}  # fmt: skip


def _task(task):
    kind, names = TASKS[task]
    sizes = {"train": 584, "validation": 117, "test": 467}
    parts = {part: {name: size // (2 + i) for i, name in enumerate(names)} for part, size in sizes.items()}
    parts = {part: {"recordings": size} for part, size in sizes.items()} if kind == "number" else parts
    left_out = (
        {"PVC": {"recordings": 3, "reason": "no recording with it in the validation part"}} if kind == "labels" else {}
    )
    counts = {"windows": 2371, "recordings": 2371, "seen": 1180, "seen_by_id": 1180, "seen_by_signal": 1181,
              "seen_by_patient": 1179, "copies": 3, "unlabelled": 20, "unlabelled_reasons": {"no code of a class": 20},
              "outside_split": 0, "eligible": 1168, "patients": 1120, "parts": parts, "recordings_of_parts": sizes,
              "left_out_labels": left_out}  # fmt: skip
    return {"task": task, "kind": kind, "names": names, "primary": "mae" if kind == "number" else "macro_auroc",
            "counts": counts, "parts": parts,
            "sha256_of_ids": {"train": "a" * 64, "validation": "b" * 64, "test": "c" * 64}}  # fmt: skip


def _training(name, seed, epochs=20):
    rng, time = _rng("training", name, seed), np.arange(epochs) / epochs
    history = {
        "loss": 2.2 + 2.4 * np.exp(-4 * time) + rng.normal(0, 0.04, epochs),
        "contrastive_accuracy": 0.7 - 0.6 * np.exp(-4 * time),
        "embedding_std": 0.6 - 0.2 * np.exp(-4 * time),
        "probe_auroc": 0.8 - 0.2 * np.exp(-3 * time) + rng.normal(0, 0.01, epochs),
    }
    if "Adv" in name or "adversary" in name or "Sparsity" in name:
        history["mask_area"] = 0.5 + 0.04 * time + rng.normal(0, 0.01, epochs)
        history["mask_cover"] = 0.45 - 0.1 * time + rng.normal(0, 0.02, epochs)
    plain = {"epoch": list(range(1, epochs + 1))} | {
        column: [float(value) for value in values] for column, values in history.items()
    }
    plain["probe_auroc"][0::2] = [None] * len(plain["probe_auroc"][0::2])
    sha256 = f"{zlib.crc32(name.encode()) + seed:064x}"
    about = {"method": name, "seed": seed, "epochs": epochs, "updates": 11 * epochs, "history": plain}
    return about | {"encoder_sha256": sha256}
