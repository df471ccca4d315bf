"""Commands about models: ``merge``, ``evaluate``, ``prefetch`` and ``demo``."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evomerge.cli.display import (
    console,
    duration,
    interval,
    print_json,
    print_table,
    say,
    size,
    table,
)
from evomerge.cli.options import JsonOption, PluginOption, SetOption, load_plugins

if TYPE_CHECKING:
    from evomerge.models.hub import Located


def register(app: typer.Typer) -> None:
    """Add this module's commands to ``app``."""
    app.command("merge")(merge)
    app.command("evaluate")(evaluate)
    app.command("prefetch")(prefetch)
    app.command("demo")(demo)


def merge(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Recipe or mergekit file.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new checkpoint.")],
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Merge once, from a recipe or an unchanged mergekit YAML file, into an ordinary checkpoint.

    Paths in FILE are relative to the working folder.
    """
    from evomerge.runs.merge import merge_file

    load_plugins(plugin)
    with console(stderr=True).status(f"merging into {out}"):
        merged = merge_file(file, out)
    for line in merged.licences:
        say(f"licence: {line}")
    if json:
        print_json(merged)
        return
    done = [*merged.methods, *([f"a route of {merged.n_steps} steps"] if merged.n_steps else [])]
    print(
        f"{merged.out}: {merged.n_tensors} tensors, {size(merged.n_bytes)}, "
        f"{' + '.join(done)}, recipe {merged.recipe_hash[:12]}"
    )


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder or hub id.")],
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", help="lm-eval tasks, or evaluators of CONFIG; comma-separated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Run file with evaluators.")
    ] = None,
    overrides: SetOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="search, validation, test or all; with CONFIG validation, else all.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first examples of each task.")
    ] = None,
    include_path: Annotated[
        Path | None, typer.Option("--include-path", help="Folder with lm-eval tasks of your own.")
    ] = None,
    num_fewshot: Annotated[
        int | None, typer.Option("--num-fewshot", min=0, help="(lm-eval) Solved examples.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="(lm-eval) Sequences at a time.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="(hub id) Branch, tag or commit.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 …; that of CONFIG or the model's own.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda …; auto if absent.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that MODEL brings.")
    ] = False,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Score a model with the evaluators that searches use.

    --tasks takes lm-eval names, or with --config names of its evaluators (all if absent).
    """
    from evomerge.config import load_config
    from evomerge.runs.evaluate import Evaluation, LmEvalOptions, ModelOptions, evaluate_model

    load_plugins(plugin)
    wanted = Evaluation(
        tasks=[name for name in (tasks or "").split(",") if name.strip()],
        config=None if config is None else load_config(config, overrides or ()),
        where=str(config or ""),
        split=split,
        limit=limit,
        lm_eval=LmEvalOptions(include_path, num_fewshot, batch_size),
    )
    options = ModelOptions(revision, dtype, device, trust_remote_code)
    with _bar() as show:
        found = evaluate_model(model, wanted, options, on_block=show)
    if json:
        print_json({"model": model, "results": {item.task: item for item in found}})
        return
    rows = []
    for item in found:
        for name, e in item.metrics.items():
            shown = f"{item.task} ({item.split})" if name == item.primary else ""
            rows.append((shown, name, interval(e.value, e.low, e.high), e.n))
    print_table(table(model, ["task", "metric", "value and 95 % interval", ">examples"], rows))
    say(f"{sum(i.n for i in found)} examples in {duration(sum(i.seconds for i in found))}")


def prefetch(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Run file.")],
    overrides: SetOption = None,
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Get everything that a run file needs onto this machine, so that it runs offline."""
    from evomerge.config import load_config
    from evomerge.runs.setup.prefetch import prefetch as fetch

    load_plugins(plugin)

    def show(name: str, located: "Located") -> None:
        at = f" at {located.revision}" if located.revision else ""
        say(f"{name}: {located.folder}{at}")

    found = fetch(load_config(config, overrides or ()), where=str(config), on_source=show)
    for name, n in found.tasks.items():
        say(f"{name}: {n} examples")
    if json:
        print_json(found)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the demo is written.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of data and training.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make the quickstart's small models and data: a base and experts for it to merge."""
    from evomerge.models.demo import make_demo

    with _bar() as show:
        make_demo(folder, seed=seed, progress=show)
    say(f"The demo is in {folder}.")
    if json:
        print_json({"folder": folder})


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows (what, done, total) as bars on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, Remaining(), console=console(stderr=True))
    known: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        bars.start()  # not before there is something to show: a mistake is one line
        if what not in known:
            known[what] = bars.add_task(what, total=total)
        bars.update(known[what], completed=done, total=total)

    try:
        yield show
    finally:
        if known:
            bars.stop()
