"""The training step beside the same step in PyTorch, which must agree in value and gradient before it is timed.

    python -m venv build/torch
    build/torch/bin/pip install numpy torch
    python benchmarks/pytorch_step.py --torch-python build/torch/bin/python [--size paper] [--repeats 7] [--eager]

Both have ResNet-18, projector, U-Net, soft binarisation, NT-Xent, area penalty and Adam for each player, in float32,
with the weights of one file and the same windows. `SIZES` are those at which the published code was measured. The
steps of PyTorch, eager and by ``torch.compile``:

published
    what the published code of Bo et al. 2022 computes for a batch: a pass of the encoder for an online classifier, the
    encoder's pass, which differentiates the U-Net as well, and the adversary's; each with the U-Net computed again.
alternating
    what `update = "alternating"` computes here: no classifier, masks without gradient in the encoder's pass.
simultaneous
    what `update = "simultaneous"` computes here: one pass, the gradient of the loss reversed at the masks.

The two agree if losses and gradients of both players, in double precision, are the same to `TOLERANCE`; in single
precision a few of the many ReLUs get arguments that are rounded to either side of zero, which changes gradients by
about 1 %.

Each framework has a process of its own, and computes only while the other one waits. Steps alternate, so that a busy
spell of the machine meets all of them. Prints a table in Markdown: medians of wall seconds and of processor seconds,
and the rate over that of the published step in eager mode (median of the ratios within each turn).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "laptop": {"adversary_width": 16, "window_samples": 1000, "batch_size": 32},
    "paper": {"adversary_width": 512, "window_samples": 5000, "batch_size": 2},
}
NETWORKS = {"encoder_width": 64, "embedding_dim": 512, "projection_hidden": 2048, "projection_dim": 128}
OBJECTIVE = {"temperature": 0.1, "alpha": 0.1, "ratio": 1.0, "mask_sharpness": 50.0}
RATES = {"learning_rate": 4e-4, "adversary_learning_rate": 4e-5}
CLASSES = 26
"""Of the published code's online classifier: the scored diagnoses of the challenge."""

TOLERANCE = 1e-5
"""Largest difference of two gradients, as a share of the norm of one, and of two losses."""

BASELINE = "PyTorch, eager, published"

Arrays = dict[str, np.ndarray]
Steps = dict[str, Callable[[], Any]]


# ---- This package.


def ours(settings: dict[str, Any], folder: Path, threads: int) -> tuple[Steps, str]:
    """Write weights and what there is to agree with, and give the steps."""
    from ecg_advmask.cli.environment import import_tensorflow

    import_tensorflow()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    from ecg_advmask.config import Config
    from ecg_advmask.pretrain.advmask import AdvMask
    from ecg_advmask.pretrain.trainer import build

    samples = settings["window_samples"]
    numbers = {name: value for name, value in settings.items() if name != "window_samples"}
    config = Config(window_seconds=samples / 100, sampling_rate_hz=100, accumulation=1, **numbers)
    windows = np.load(folder / "windows.npy")
    model: Any = build(config)
    networks = {name: getattr(model, name) for name in model.networks}

    def names(network: str) -> list[str]:
        """Of trainable variables; the networks of PyTorch have the same."""
        paths = [variable.path.split("/")[-2:] for variable in networks[network].trainable_variables]
        return [f"{network}/{'hidden' if layer.startswith('dense') else layer}/{kind}" for layer, kind in paths]

    weights = {name: zip(names(name), network.trainable_variables, strict=True) for name, network in networks.items()}
    np.savez(folder / "weights.npz", **{key: np.asarray(value) for each in weights.values() for key, value in each})

    def in_double(network: Any) -> Any:
        def copied(layer: Any) -> Any:
            own = {"dtype": "float64"} if isinstance(layer, keras.Layer) else {}
            return layer.__class__.from_config(layer.get_config() | own)

        entrance = keras.Input(network.input_shape[1:], dtype="float64")
        copy = keras.models.clone_model(network, input_tensors=entrance, clone_function=copied)
        copy.set_weights(network.get_weights())
        return copy

    keras.config.set_dtype_policy("float64")
    exact: Any = AdvMask(**{name: in_double(network) for name, network in networks.items()}, config=config)
    keras.config.set_dtype_policy("float32")
    pairs = exact.pairs(windows.astype(np.float64))
    pairs["masked"] = tf.cast(pairs["masked"], tf.float64)
    learner, logs = exact.learner_gradients(pairs)
    found = dict(zip(names("encoder") + names("projector"), learner, strict=True))
    found |= dict(zip(names("adversary"), exact.adversary_gradients(pairs), strict=True))
    left = (f"left to {name}" for name in names("adversary"))
    found |= dict(zip(left, exact.last_contrast_gradients(pairs), strict=True))
    found |= {"loss": logs["loss"], "penalty": logs["sparsity"]}
    np.savez(folder / "ours.npz", **{name: np.asarray(value) for name, value in found.items()})

    windows = tf.constant(windows)

    def step_of(update: str) -> Callable[[], Any]:
        own: Any = build(Config(**{**vars(config), "update": update}))
        step = tf.function(own.train_step, jit_compile=True, autograph=False)
        return lambda: float(step(windows)["loss"])

    steps = {f"ecg-advmask, {update}": step_of(update) for update in ("alternating", "simultaneous")}
    return steps, f"TensorFlow {tf.__version__}, Keras {keras.__version__}, XLA"


# ---- PyTorch.


def theirs(settings: dict[str, Any], folder: Path, threads: int) -> tuple[Steps, str]:  # noqa: PLR0915 torch may not be imported
    """Read the weights, write gradients and losses, and give the steps, eager and compiled."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)

    class ConvNorm(nn.Module):
        def __init__(self, inputs: int, filters: int, kernel: int, stride: int = 1, bias: bool = False) -> None:
            super().__init__()
            self.conv = nn.Conv1d(inputs, filters, kernel, stride, kernel // 2, bias=bias)
            self.norm = nn.BatchNorm1d(filters)

        def forward(self, x: Any) -> Any:
            return self.norm(self.conv(x))

    class Block(nn.Module):
        """A basic block of ResNet-18."""

        def __init__(self, inputs: int, filters: int, stride: int) -> None:
            super().__init__()
            self.add_module("1", ConvNorm(inputs, filters, 3, stride))
            self.add_module("2", ConvNorm(filters, filters, 3))
            self.shortcut = ConvNorm(inputs, filters, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = functional.relu(self.get_submodule("1")(x))
            return functional.relu(self.get_submodule("2")(y) + self.shortcut(x))

    class Encoder(nn.Module):
        def __init__(self, width: int, embedding_dim: int) -> None:
            super().__init__()
            self.stem = ConvNorm(12, width, 7, 2)
            filters = width
            for stage in range(1, 5):
                for block in (1, 2):
                    inputs, filters = filters, width * 2 ** (stage - 1)
                    self.add_module(f"stage{stage}_block{block}", Block(inputs, filters, 1 + (inputs < filters)))
            self.embedding = nn.Linear(filters, embedding_dim)

        def forward(self, x: Any) -> Any:
            x = functional.max_pool1d(functional.relu(self.stem(x)), 3, 2, 1)
            for name, block in self.named_children():
                x = block(x) if name.startswith("stage") else x
            return self.embedding(x.mean(2))

    class Gate(nn.Module):
        """Squeeze and excitation, added."""

        def __init__(self, filters: int) -> None:
            super().__init__()
            self.squeeze = nn.Linear(filters, filters // 8)
            self.excite = nn.Linear(filters // 8, filters)

        def forward(self, y: Any) -> Any:
            gate = functional.relu(self.squeeze(y.mean(2)))
            return y + torch.sigmoid(self.excite(gate))[:, :, None]

    class Residual(nn.Module):
        def __init__(self, filters: int) -> None:
            super().__init__()
            self.add_module("1", ConvNorm(filters, filters, 5, bias=True))
            self.add_module("2", ConvNorm(filters, filters, 5, bias=True))
            self.gate = Gate(filters)

        def forward(self, x: Any) -> Any:
            y = functional.relu(self.get_submodule("1")(x))
            return x + self.gate(functional.relu(self.get_submodule("2")(y)))

    class Adversary(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            inputs = (12, width, 2 * width + 12, 3 * width + 12)
            for level in range(4):
                filters = (level + 1) * width
                name, stride = f"down{level}", 5 if level else 1
                self.add_module(name, ConvNorm(inputs[level], filters, 5, stride, bias=True))
                self.add_module(f"{name}_block1", Residual(filters))
            for level in (2, 1, 0):
                filters = (level + 1) * width
                self.add_module(f"up{level}", ConvNorm(2 * filters + width, filters, 5, bias=True))
            self.logits = nn.Conv1d(width, 1, 5, padding=2)

        def forward(self, view: Any) -> Any:
            parts = dict(self.named_children())
            pooled = {2: functional.avg_pool1d(view, 12, 5, 4), 3: functional.avg_pool1d(view, 12, 25)}
            x, levels = view, []
            for level in range(4):
                x = torch.cat([x, pooled[level]], 1) if level in pooled else x
                x = parts[f"down{level}_block1"](functional.relu(parts[f"down{level}"](x)))
                levels.append(x)
            for level in (2, 1, 0):
                raised = functional.interpolate(x, scale_factor=5.0, mode="nearest")
                x = functional.relu(parts[f"up{level}"](torch.cat([raised, levels[level]], 1)))
            return torch.sigmoid(self.logits(x))

    class Projector(nn.Module):
        def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
            super().__init__()
            self.hidden = nn.Linear(inputs, hidden)
            self.projection = nn.Linear(hidden, outputs)

        def forward(self, x: Any) -> Any:
            return self.projection(functional.relu(self.hidden(x)))

    dim, width = settings["embedding_dim"], settings["encoder_width"]
    networks = nn.ModuleDict(
        {
            "encoder": Encoder(width, dim),
            "projector": Projector(dim, settings["projection_hidden"], settings["projection_dim"]),
            "adversary": Adversary(settings["adversary_width"]),
        }
    ).train()
    classifier = nn.Linear(dim, CLASSES)
    learner = [*networks["encoder"].parameters(), *networks["projector"].parameters()]
    adversary = list(networks["adversary"].parameters())

    def place(name: str) -> tuple[str, bool]:
        """Keras's name of a parameter, and whether it is a kernel, whose axes are reversed there."""
        network, *layer, kind = name.split(".")
        is_norm = layer[-1] == "norm"
        kind = {"weight": "gamma" if is_norm else "kernel", "bias": "beta" if is_norm else "bias"}[kind]
        return f"{network}/{'_'.join(layer)}/{kind}", kind == "kernel"

    with np.load(folder / "weights.npz") as weights, torch.no_grad():
        for name, parameter in networks.named_parameters():
            key, is_kernel = place(name)
            parameter.copy_(torch.from_numpy(weights[key].T if is_kernel else weights[key]))
        assert len(weights.files) == len(learner) + len(adversary)

    def scale_to_unit(x: Any) -> Any:
        smallest = x.amin((1, 2), keepdim=True)
        return (x - smallest) / (x.amax((1, 2), keepdim=True) - smallest).clamp_min(1e-4)

    def nt_xent(z_1: Any, z_2: Any) -> Any:
        z = functional.normalize(torch.cat([z_1, z_2]))
        similarity = z @ z.T / settings["temperature"]
        similarity = similarity.masked_fill(torch.eye(len(z), dtype=torch.bool), -1e30)
        positives = torch.arange(len(z)).roll(len(z_1))
        return functional.cross_entropy(similarity, positives)

    def contrast(view: Any, masks: Any) -> Any:
        sharp = torch.sigmoid(settings["mask_sharpness"] * (masks - 0.5))
        occluded = scale_to_unit(view * (1 - sharp))
        z_1, z_2 = (networks["projector"](networks["encoder"](x)) for x in (view, occluded))
        return nt_xent(z_1, z_2)

    def penalty_of(masks: Any) -> Any:
        return settings["alpha"] * (1 / torch.sin(torch.pi * settings["ratio"] * masks.mean(2))).sum(1).mean()

    def game(view: Any) -> tuple[Any, Any]:
        masks = networks["adversary"](view)
        return contrast(view, masks), penalty_of(masks)

    def with_given_masks(view: Any) -> Any:
        with torch.no_grad():
            masks = networks["adversary"](view)
        return contrast(view, masks)

    def reversed_game(view: Any) -> tuple[Any, Any]:
        masks = networks["adversary"](view)
        return contrast(view, 2 * masks.detach() - masks), penalty_of(masks)

    def classified(view: Any, labels: Any) -> Any:
        embedding = networks["encoder"](view)
        return functional.binary_cross_entropy_with_logits(classifier(embedding.detach()), labels)

    def let_learn(learner_learns: bool) -> None:
        for parameter in learner:
            parameter.requires_grad_(learner_learns)

    windows = torch.from_numpy(np.load(folder / "windows.npy")).transpose(1, 2).contiguous()
    labels = (torch.rand(len(windows), CLASSES) < 0.1).float()

    def taken(network: str, prefix: str) -> Arrays:
        found = {}
        for name, parameter in networks[network].named_parameters():
            key, is_kernel = place(f"{network}.{name}")
            value = parameter.grad.numpy()
            found[prefix + key.removeprefix(network)] = (value.T if is_kernel else value).copy()
            parameter.grad = None
        return found

    networks.double()
    view = scale_to_unit(windows.double())
    loss, penalty = game(view)
    loss.backward()
    found = {"loss": loss.detach().numpy(), "penalty": penalty.detach().numpy()}
    found |= {**taken("encoder", "encoder"), **taken("projector", "projector")}
    found |= taken("adversary", "left to adversary")
    loss, penalty = game(view)
    (penalty - loss).backward()
    found |= taken("adversary", "adversary")
    np.savez(folder / "theirs.npz", **found)
    networks.zero_grad()
    networks.float()

    def steps_of(mode: str, compiled: Callable[[Any], Any], fused: bool | None) -> Steps:
        first = torch.optim.Adam([*learner, *classifier.parameters()], settings["learning_rate"], fused=fused)
        second = torch.optim.Adam(adversary, settings["adversary_learning_rate"], fused=fused)
        own_game, own_given, own_reversed = compiled(game), compiled(with_given_masks), compiled(reversed_game)
        own_classified = compiled(classified)

        def move(optimizer: Any, objective: Any) -> None:
            objective.backward()
            optimizer.step()
            optimizer.zero_grad()

        def published() -> float:
            view = scale_to_unit(windows)
            let_learn(True)
            class_loss = own_classified(view, labels)
            loss, _ = own_game(view)
            move(first, loss + class_loss)
            let_learn(False)
            loss, penalty = own_game(view)
            move(second, penalty - loss)
            return loss.item()

        def alternating() -> float:
            view = scale_to_unit(windows)
            let_learn(True)
            loss = own_given(view)
            move(first, loss)
            let_learn(False)
            again, penalty = own_game(view)
            move(second, penalty - again)
            return loss.item()

        def simultaneous() -> float:
            let_learn(True)
            loss, penalty = own_reversed(scale_to_unit(windows))
            (loss + penalty).backward()
            for optimizer in (first, second):
                optimizer.step()
                optimizer.zero_grad()
            return loss.item()

        return {f"PyTorch, {mode}, {step.__name__}": step for step in (published, alternating, simultaneous)}

    steps = steps_of("eager", lambda function: function, None)
    steps |= steps_of("compiled", torch.compile, True)
    return steps, f"PyTorch {torch.__version__}"


# ---- The two processes, and the one that asks them.


def serve(side: str, folder: Path) -> None:
    """Compute the step whose name comes in, and write a line of its seconds of wall and of processors."""
    settings = json.loads((folder / "settings.json").read_text())
    threads, is_eager = settings.pop("threads"), settings.pop("eager")
    steps, versions = (ours if side == "ours" else theirs)(settings, folder, threads)
    if is_eager:
        steps = {name: step for name, step in steps.items() if "compiled" not in name}
    print(json.dumps({"steps": list(steps), "versions": versions}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        steps[line.strip()]()
        print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]), flush=True)


class Side:
    """A process of one framework."""

    def __init__(self, python: str, side: str, folder: Path) -> None:
        command = [python, __file__, "--side", side, "--folder", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.answer()
        self.steps, self.versions = ready["steps"], ready["versions"]

    def answer(self) -> Any:
        """What the process writes next."""
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            sys.exit(f"a process of {self.process.args!r} ended")
        return json.loads(line)

    def run(self, step: str) -> tuple[float, float]:
        """Seconds of wall and of processors of a step."""
        assert self.process.stdin
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        wall, cpu = self.answer()
        return wall, cpu


def windows_of(recordings: int, samples: int) -> np.ndarray:
    """Waves of other frequencies and amplitudes in every recording: embeddings of white noise are nearly the same."""
    rng = np.random.default_rng(0)
    time_s = np.arange(samples)[None, :, None, None] / 100
    hz, phase = rng.uniform(0.5, 20, (recordings, 1, 1, 8)), rng.uniform(0, 2 * np.pi, (recordings, 1, 12, 8))
    waves = rng.normal(size=(recordings, 1, 12, 8)) * np.sin(2 * np.pi * hz * time_s + phase)
    return (waves.sum(3) + 0.1 * rng.normal(size=(recordings, samples, 12))).astype(np.float32)


def check_agreement(folder: Path) -> str:
    """Compare losses and gradients; ends the program if they differ by more than the tolerance."""
    with np.load(folder / "ours.npz") as one, np.load(folder / "theirs.npz") as other:
        if missing := set(one.files) ^ set(other.files):
            sys.exit(f"not in both: {sorted(missing)}")
        differences = {
            f"{name}'s value": abs(float(one[name]) - float(other[name])) / abs(float(one[name]))
            for name in ("loss", "penalty")
        }
        for network in ("encoder", "projector", "adversary", "left to adversary"):
            names = [name for name in one.files if name.startswith(f"{network}/")]
            flat, also = (np.concatenate([each[name].ravel() for name in names]) for each in (one, other))
            differences[f"gradient {network}"] = float(np.linalg.norm(flat - also) / np.linalg.norm(flat))
    text = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
    if max(differences.values()) > TOLERANCE:
        sys.exit(f"the two steps do not agree, relative differences: {text}")
    return text


def main() -> None:
    """Check, time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has torch and numpy")
    parser.add_argument("--size", choices=SIZES, default="laptop")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="1: processor seconds of a busy machine")
    parser.add_argument("--eager", action="store_true", help="without torch.compile, which needs a compiler of C++")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        serve(given.side, given.folder)
        return
    settings = SIZES[given.size] | NETWORKS | OBJECTIVE | RATES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "settings.json").write_text(json.dumps({**settings, "threads": given.threads, "eager": given.eager}))
        np.save(folder / "windows.npy", windows_of(settings["batch_size"], settings["window_samples"]))
        sides = [Side(sys.executable, "ours", folder), Side(given.torch_python, "theirs", folder)]
        print(f"relative differences: {check_agreement(folder)}", flush=True)
        of_step = {step: side for side in sides for step in side.steps}
        for step, side in of_step.items():  # compiles
            side.run(step)
        seconds: dict[str, list[tuple[float, float]]] = {step: [] for step in of_step}
        for _ in range(given.repeats):
            for step, side in of_step.items():
                seconds[step].append(side.run(step))
        for side in sides:
            side.process.communicate()
    print(
        f"{platform.machine()}, {given.threads} of {os.cpu_count()} cores; {'; '.join(side.versions for side in sides)}"
    )
    print(f"{given.size}: {settings}; medians of {given.repeats}\n")
    print("| step | seconds | of processors | rate over the published step | by processors |\n|---|---|---|---|---|")
    for step, measured in seconds.items():
        wall, cpu = (statistics.median(each) for each in zip(*measured, strict=True))
        ratios = [
            statistics.median(base[i] / own[i] for base, own in zip(seconds[BASELINE], measured, strict=True))
            for i in (0, 1)
        ]
        print(f"| {step} | {wall:.3f} | {cpu:.3f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
