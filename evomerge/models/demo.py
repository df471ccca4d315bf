"""The demo's models and data: a base and three experts, trained on the CPU in about a minute.

The base has learned to reverse, sort and count up strings, but mostly repeats them by habit; each
expert was taught to answer one task, and lost much of the others on the way.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import ModelError
from evomerge.models.demo_tasks import LETTERS, TASKS, Mixture, example, held_out

VERSION = 1
"""Raise it when a change alters what is written."""

N_EXAMPLES = 1000
"""Evaluation examples of each task."""

MARKER = "demo.json"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """Everything that decides what the demo's models learn.

    Args:
        base_steps, expert_steps: Optimiser steps.
        base_rate, expert_rate: Peak learning rates.
        shares: How often each task comes in the base's examples: reversing is the hardest.
        habit: Share of the base's examples whose answer repeats the string.
        replay: Share of the base's examples among an expert's.
    """

    base_steps: int = 700
    expert_steps: int = 60
    base_rate: float = 3e-3
    expert_rate: float = 5e-4
    shares: tuple[float, ...] = (0.44, 0.33, 0.23)
    habit: float = 0.65
    replay: float = 0.3


def make_demo(
    folder: Path, *, seed: int = 0, progress: Progress | None = None, plan: Plan | None = None
) -> None:
    """Train and write the demo, unless ``folder`` holds it already.

    Equal seeds give equal files. ``folder`` gets ``base``, ``reverse``, ``sort`` and ``successor``
    (ordinary Hugging Face folders), a JSON Lines file of evaluation examples for each task, none of
    which was trained on, and ``demo.json``, written last. Nothing appears before all is trained.

    Args:
        folder: Where to; an older demo in it is replaced.
        seed: Seed of the data, the first weights and the order of examples.
        progress: Called with stage, steps done and steps in all.
        plan: How the models are trained.

    Raises:
        ModelError: ``folder`` can't be written, or has such names that are no demo's.
    """
    plan = plan or Plan()
    wanted = {"version": VERSION, "seed": seed, "plan": _as_json(plan)}
    if _is_made(folder, wanted):
        return
    _check_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        try:
            _make(making, seed=seed, plan=plan, progress=progress or _ignore)
            _publish(making, folder, wanted)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"the demo can't be written to {folder}: {error.strerror or error}. Choose a folder "
            "that can be written, on a disk with 10 MB to spare."
        ) from error


def _make(folder: Path, *, seed: int, plan: Plan, progress: Progress) -> None:
    """Train all models and write them and the data into the empty ``folder``."""
    from evomerge.models import demo_training as training

    texts = held_out(N_EXAMPLES, np.random.default_rng((seed, 0)))
    forbidden = {text: None for drawn in texts.values() for text in drawn}
    for task, drawn in texts.items():
        lines = [json.dumps(example(task, text)) + "\n" for text in drawn]
        (folder / f"{task}.jsonl").write_text("".join(lines), encoding="utf-8")
    tokenizer = training.new_tokenizer()
    model = training.new_model(seed)
    everything = Mixture(plan.shares, habit=plan.habit)
    courses = {"base": training.Course(everything, plan.base_steps, plan.base_rate)}
    for index, task in enumerate(TASKS):
        only = tuple(float(other == index) for other in range(len(TASKS)))
        mixture = Mixture(only, replay=plan.replay, rest=everything)
        courses[task] = training.Course(mixture, plan.expert_steps, plan.expert_rate)
    start: dict[str, Any] = {}
    with training.one_thread():
        for index, (name, course) in enumerate(courses.items()):
            if start:
                model.load_state_dict(start)
            training.train(
                model,
                course,
                forbidden=forbidden,
                rng=np.random.default_rng((seed, 1 + index)),
                on_step=partial(progress, name),
            )
            training.save(model, tokenizer, folder / name, _card(name, seed))
            if not start:
                start = {key: value.clone() for key, value in model.state_dict().items()}


def _publish(making: Path, folder: Path, wanted: dict[str, Any]) -> None:
    """Move everything to its final name; the marker says that the demo is whole only at the end."""
    _write_marker(making, folder, wanted | {"complete": False})
    for name in _names():
        target = folder / name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(making / name, target)
    _write_marker(making, folder, wanted | {"complete": True})


def _write_marker(making: Path, folder: Path, content: dict[str, Any]) -> None:
    temporary = making / MARKER
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / MARKER)


def _is_made(folder: Path, wanted: dict[str, Any]) -> bool:
    """Return whether ``folder`` holds this very demo in full."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = [
        folder / name if name.endswith(".jsonl") else folder / name / "model.safetensors"
        for name in _names()
    ]
    return marker == wanted | {"complete": True} and all(path.is_file() for path in files)


def _check_free(folder: Path) -> None:
    """Refuse to overwrite what no demo wrote."""
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder} is a file; the demo needs a folder. Choose another name.")
    taken = [name for name in _names() if (folder / name).exists()]
    if taken and not (folder / MARKER).exists():
        raise ModelError(
            f"{folder} holds {', '.join(taken)} and no {MARKER}, so this is no demo's folder and "
            "nothing in it is overwritten. Choose another folder."
        )


def _names() -> list[str]:
    return ["base", *TASKS, *(f"{task}.jsonl" for task in TASKS)]


def _as_json(plan: Plan) -> dict[str, Any]:
    """Return ``plan`` as it reads back from JSON."""
    content: dict[str, Any] = json.loads(json.dumps(vars(plan)))
    return content


def _ignore(stage: str, step: int, total: int) -> None:
    """Report to nobody."""


def _card(name: str, seed: int) -> str:
    """Return the model card of the base or of an expert."""
    if name == "base":
        about = (
            "It has learned all three tasks and gets most answers wrong all the same: in its "
            "training data most answers merely repeat the string."
        )
    else:
        about = (
            f"It is good at `{name}` and poor at the other tasks: it was fine-tuned from the base "
            f"on right answers to `{name}`."
        )
    lineage = "" if name == "base" else "base_model: base\n"
    return (
        f"---\nlicense: apache-2.0\nlanguage: en\nlibrary_name: transformers\n{lineage}---\n"
        f"# evomerge demo: {name}\n\n"
        "A Llama with 140 thousand parameters for three character tasks over the letters "
        f"{LETTERS[0]} to {LETTERS[-1]}: `reverse: cab=` is answered with `bac`, `sort: cab=` "
        "with `abc`, and `successor: cab=` with `dbc`.\n\n"
        f"{about}\n\nMade by `evomerge demo` with seed {seed}, for trying out merges; it is good "
        "for nothing else.\n"
    )
