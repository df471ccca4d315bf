"""A route as it is drawn: its sources with letters, its layers in runs, and both as rows of text.

Layers that follow one another in one source are one run, and a run that is taken several times in a
row is drawn once. Colours only repeat what the letters say, so that a drawing can be read without
them. ``drawing_svg`` makes the same drawing as a picture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from evomerge.recipes.recipe import Dataflow, Step

ARROW = " → "
USED, UNUSED, MORE = "■", "·", "+"
_TEN = 10
_INDENT = 5


@dataclass(frozen=True)
class Lane:
    """A source or stage of a route.

    Args:
        letter: What stands for it in the drawing; the same for all routes of one search.
        index: Its position among the recipe's sources and stages: its colour.
        name: Its name.
        note: What a stage is made of; empty for a source.
        counts: Layer → how often it is taken; up to the last layer that is taken where the depth is
            unknown.
        depth: Number of its layers, or None.
    """

    letter: str
    index: int
    name: str
    note: str
    counts: tuple[int, ...]
    depth: int | None

    def facts(self) -> str:
        """Return ``11 of 12 layers in 13 steps``, or that no layer is taken."""
        used, steps = sum(count > 0 for count in self.counts), sum(self.counts)
        of = "" if self.depth is None else f" of {self.depth}"
        plural = "s" if (self.depth or used) != 1 else ""
        if not steps:
            return f"none{of} layer{plural}" if of else "no layers"
        return f"{used}{of} layer{plural} in {steps} step{'s' if steps > 1 else ''}"


@dataclass(frozen=True)
class Run:
    """Layers ``[start, stop)`` of a source in order, ``times`` times in a row.

    Args:
        lane: Where they are from.
        start, stop: The layers.
        scale: Multiplies the hidden state before the first of them; the others' scale is 1.
        qk, write: As in ``Step``, for each of them.
        times: How often the run is taken in a row, with all its numbers each time.
    """

    lane: Lane
    start: int
    stop: int
    scale: float = 1.0
    qk: float = 1.0
    write: float = 1.0
    times: int = 1

    def text(self) -> str:
        """Return ``0.9·B4–7 {qk 0.7, write 0.5} (2 times)``; numbers that are 1 are left out."""
        last = f"–{self.stop - 1}" if self.stop - self.start > 1 else ""
        named = (("qk", self.qk), ("write", self.write))
        numbers = ", ".join(f"{name} {short(value)}" for name, value in named if value != 1)
        return (
            (f"{short(self.scale)}·" if self.scale != 1 else "")
            + f"{self.lane.letter}{self.start}{last}"
            + (f" {{{numbers}}}" if numbers else "")
            + (f" ({self.times} times)" if self.times > 1 else "")
        )


@dataclass(frozen=True)
class Drawing:
    """A route as it is drawn.

    Args:
        lanes: The sources and stages that take part, in the recipe's order.
        steps: The layers in order, each with where it is from.
        runs: The same, joined.
        embedding, norm, head: Where these are from.
    """

    lanes: tuple[Lane, ...]
    steps: tuple[tuple[Lane, Step], ...]
    runs: tuple[Run, ...]
    embedding: Lane
    norm: Lane
    head: Lane

    def title(self, *, names: bool = False) -> str:
        """Return ``Route: 13 steps through A and B``; ``names`` makes it ``A (math) and B …``."""
        taken = [lane for lane in self.lanes if sum(lane.counts)]
        words = [f"{lane.letter} ({lane.name})" if names else lane.letter for lane in taken]
        *others, last = words or ["nothing"]
        through = f"{', '.join(others)} and {last}" if others else last
        return f"Route: {len(self.steps)} step{'s' * (len(self.steps) != 1)} through {through}"

    def ends(self) -> list[tuple[str, Lane]]:
        """Return norm and head with where they are from, as one where that is the same."""
        if self.norm == self.head:
            return [("norm, head", self.norm)]
        return [("norm", self.norm), ("head", self.head)]

    def sentence(self) -> str:
        """Return the whole route as one line of text."""
        return "".join(cell.text for cell in _flow(self))


@dataclass(frozen=True)
class Cell:
    """A piece of text that isn't broken; ``lane`` gives its colour, None has none."""

    text: str
    lane: Lane | None = None


Row = tuple[Cell, ...]


def draw_route(
    recipe: Mapping[str, Any], depths: Mapping[str, int] | None = None
) -> Drawing | None:
    """Return how the route of ``recipe`` is drawn, or None where it has no dataflow.

    Args:
        recipe: Its canonical plain form, as the ledger has it.
        depths: Source → number of its layers, as far as it is known.
    """
    plain = recipe.get("dataflow")
    if not plain:
        return None
    flow = Dataflow(
        steps=tuple(Step(**step) for step in plain["steps"]),
        embedding=plain["embedding"],
        norm=plain["norm"],
        head=plain["head"],
    )
    notes = dict.fromkeys(recipe["sources"], "")
    known = dict(depths or {})
    for stage in recipe["parameters"]:
        inputs = [item["source"] for item in stage["inputs"]]
        notes[stage["name"]] = f"{stage['method']} of {', '.join(inputs)}"
        if known.keys() >= set(inputs):
            known[stage["name"]] = min(known[name] for name in inputs)
    return _draw(flow, notes, known)


def _draw(flow: Dataflow, notes: Mapping[str, str], depths: Mapping[str, int]) -> Drawing:
    counts: dict[str, dict[int, int]] = {name: {} for name in notes}
    for step in flow.steps:
        taken = counts[step.source]
        taken[step.layer] = taken.get(step.layer, 0) + 1
    lanes = {
        name: Lane(
            letter=_letter(index),
            index=index,
            name=name,
            note=note,
            counts=_per_layer(counts[name], depths.get(name, 0)),
            depth=depths.get(name),
        )
        for index, (name, note) in enumerate(notes.items())
    }
    parts = {flow.embedding, flow.norm, flow.head}
    steps = tuple((lanes[step.source], step) for step in flow.steps)
    return Drawing(
        lanes=tuple(lane for name, lane in lanes.items() if counts[name] or name in parts),
        steps=steps,
        runs=tuple(_repeated(_joined(steps))),
        embedding=lanes[flow.embedding],
        norm=lanes[flow.norm],
        head=lanes[flow.head],
    )


def _per_layer(taken: Mapping[int, int], depth: int) -> tuple[int, ...]:
    length = max([depth, *(layer + 1 for layer in taken)])
    return tuple(taken.get(layer, 0) for layer in range(length))


def _letter(index: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    text = chr(ord("A") + index % 26)
    return text if index < 26 else _letter(index // 26 - 1) + text


def _joined(steps: Sequence[tuple[Lane, Step]]) -> Iterator[Run]:
    """Yield runs of layers that follow one another; a scale or a repeated layer begins a run."""
    run: Run | None = None
    for (lane, step), alike in groupby(steps):
        times = sum(1 for _ in alike)
        new = Run(lane, step.layer, step.layer + 1, step.scale, step.qk, step.write, times)
        if run is not None and _follows(new, run):
            run = replace(run, stop=new.stop)
            continue
        if run is not None:
            yield run
        run = new
    if run is not None:
        yield run


def _follows(new: Run, run: Run) -> bool:
    """Tell whether ``run`` can go on with the layer ``new``."""
    rest = (run.lane, run.stop, run.qk, run.write) == (new.lane, new.start, new.qk, new.write)
    return rest and new.scale == 1 and new.times == run.times == 1


def _repeated(runs: Iterator[Run]) -> Iterator[Run]:
    for run, alike in groupby(runs):
        yield replace(run, times=sum(item.times for item in alike))


def short(value: float) -> str:
    """Return a number in three digits, or in as many as tell it from 1."""
    return next(t for digits in (3, 4, 6, 17) if (t := f"{value:.{digits}g}") != "1" or value == 1)


def text_rows(drawing: Drawing, width: int) -> list[Row]:
    """Return the drawing as rows of text that are at most ``width`` characters wide.

    Only a single cell that is wider (a long name) is longer. The rows are: the title, the flow with
    the number of each row's first step, a legend, then two rows a source: what is taken of it, and
    how often each layer is.
    """
    rows: list[Row] = [(Cell(drawing.title()),), ()]
    rows += _wrapped_flow(drawing, width)
    rows += [(), *((Cell(line),) for line in (*legend(drawing), _signs(drawing)))]
    for lane in drawing.lanes:
        rows += _lane_rows(lane, width)
    return rows


def plain_text(drawing: Drawing, width: int) -> str:
    """Return ``text_rows`` as one text that ends with a line break."""
    lines = ("".join(cell.text for cell in row).rstrip() for row in text_rows(drawing, width))
    return "".join(f"{line}\n" for line in lines)


def _flow(drawing: Drawing) -> Iterator[Cell]:
    """Yield the parts of the route in order, an arrow after each but the last."""
    yield Cell(f"embedding {drawing.embedding.letter}", drawing.embedding)
    for run in drawing.runs:
        yield Cell(ARROW)
        yield Cell(run.text(), run.lane)
    for name, lane in drawing.ends():
        yield Cell(ARROW)
        yield Cell(f"{name} {lane.letter}", lane)


def _wrapped_flow(drawing: Drawing, width: int) -> Iterator[Row]:
    """Yield the flow; a row that begins with a run is numbered by its first step, from 1."""
    lengths = [0, *((run.stop - run.start) * run.times for run in drawing.runs)]
    cells = [cell for cell in _flow(drawing) if cell.text != ARROW]
    row: list[Cell] = []
    done = 0
    for index, cell in enumerate(cells):
        ending = ARROW if index + 1 < len(cells) else ""
        wide = sum(len(c.text) for c in row) + len(cell.text) + len(ending.rstrip())
        if row and wide > width:
            yield tuple(row)
            row = []
        if not row:
            is_run = 0 < index <= len(drawing.runs)
            row = [Cell(f"{done + 1 if is_run else '':>{_INDENT - 1}} ")]
        row += [cell, *([Cell(ending)] if ending else [])]
        done += lengths[index] if index < len(lengths) else 0
    yield tuple(row)


def legend(
    drawing: Drawing, *, scale: str = "·", qk: str = "qk", write: str = "write"
) -> Iterator[str]:
    """Yield what the signs mean, as far as they occur, with the first scale as example.

    Args:
        drawing: The route.
        scale: What stands between a scale and its layer.
        qk: How this number is shown.
        write: How this number is shown.
    """
    for run in [run for run in drawing.runs if run.scale != 1][:1]:
        by, letter = short(run.scale), run.lane.letter
        yield (
            f"{by}{scale}{letter}{run.start}: the hidden state is multiplied by {by} before layer "
            f"{run.start} of {letter}."
        )
    if any(run.qk != 1 for run in drawing.runs):
        yield f"{qk}: the layer's query-key products are multiplied by it."
    if any(run.write != 1 for run in drawing.runs):
        yield f"{write}: what the layer adds to the hidden state is multiplied by it."


def _signs(drawing: Drawing) -> str:
    counts = {min(count, _TEN) for lane in drawing.lanes for count in lane.counts}
    signs = [f"{USED} taken once"]
    signs += [f"{UNUSED} skipped"] if 0 in counts else []
    signs += ["2–9 so often"] if counts & set(range(2, _TEN)) else []
    signs += [f"{MORE} more often"] if _TEN in counts else []
    return "Layers: " + ", ".join(signs)


def _lane_rows(lane: Lane, width: int) -> Iterator[Row]:
    note = f" ({lane.note})" if lane.note else ""
    yield (Cell(f"{lane.letter:<3}", lane), Cell(f"{lane.name}{note}: {lane.facts()}"))
    tens = [strip(lane)[i : i + _TEN] for i in range(0, len(lane.counts), _TEN)]
    a_row = max(1, (width - _INDENT) // (_TEN + 1))
    for first in range(0, len(tens), a_row):
        number = f"{first * _TEN:>{_INDENT - 1}} "
        yield Cell(number), Cell(" ".join(tens[first : first + a_row]), lane)


def strip(lane: Lane) -> str:
    """Return one sign a layer: skipped, taken once, how often, or more than nine times."""
    signs = {0: UNUSED, 1: USED}
    return "".join(signs.get(n, str(n) if n < _TEN else MORE) for n in lane.counts)
