"""Tasks of lm-evaluation-harness: its own prompts, filters, metrics and aggregates, our batches."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evomerge.errors import EvaluationError, nearest
from evomerge.evaluation.base import (
    BATCH_SIZE,
    BLOCK_SIZE,
    SPLIT_SIZES,
    SplitTask,
    fill_settings,
)
from evomerge.evaluation.protocol import ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.language_model import LanguageModel
    from evomerge.evaluation.lm_eval_metrics import Shape

PARAMETERS = (
    Parameter(
        "task", "str", "Name of a task, group or tag, or path of a task's YAML file.", required=True
    ),
    Parameter("include_path", "str", "Folder with task files of your own."),
    Parameter(
        "metric",
        "str",
        "Metric that objectives take, METRIC or METRIC,FILTER; the task's first if absent.",
    ),
    Parameter(
        "num_fewshot", "int", "Solved examples before each prompt; the task's if absent.", low=0
    ),
    Parameter("fewshot_seed", "int", "Seed of the few-shot draws.", default=1234, low=0),
    Parameter("gen_kwargs", "mapping", "Changes to the task's generation settings.", default={}),
    Parameter(
        "chat_template", "bool", "Wrap prompts in the tokenizer's chat template.", default=False
    ),
    Parameter("system_prompt", "str", "System message.", default=""),
    Parameter(
        "fewshot_as_multiturn",
        "bool",
        "With the chat template: few-shot examples as turns of their own.",
        default=True,
    ),
    Parameter(
        "softmax_dtype",
        "str",
        "Precision of log-likelihoods: model is what lm-eval does, float32 is finer.",
        default="model",
        choices=("model", "float32"),
    ),
    Parameter(
        "unsafe_code", "bool", "Allow tasks that run code which the model writes.", default=False
    ),
    BLOCK_SIZE,
    BATCH_SIZE,
    SPLIT_SIZES,
)


@evaluator("lm_eval", parameters=PARAMETERS, paper="github.com/EleutherAI/lm-evaluation-harness")
class LmEvalEvaluator(SplitTask):
    """Any task, group or tag of lm-evaluation-harness, with requests built and tokenised once.

    A group is one evaluator over all its tasks' examples; its numbers are the group's own
    aggregates of its tasks' numbers. Scores agree with ``lm_eval.simple_evaluate``.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: There is no such task, or its data or metrics can't be used.
    """

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        import lm_eval

        from evomerge.evaluation import lm_eval_requests as requests
        from evomerge.evaluation.lm_eval_loading import load_tasks

        settings = fill_settings("lm_eval", PARAMETERS, name, options)
        loaded = load_tasks(settings["task"], settings["include_path"])
        self._group = loaded.group
        self._tasks = list(loaded.tasks.values())
        self._task_names = list(loaded.tasks)
        for task in self._tasks:
            requests.configure(task, settings)
        documents = [requests.documents(task) for task in self._tasks]
        self._where = [
            (task, index) for task, found in enumerate(documents) for index in range(len(found))
        ]
        super().__init__(
            name,
            [item for found in documents for item in found],
            settings=settings,
            seed=seed,
            version=f"lm_eval/1/{lm_eval.__version__}",
            data_sha256=requests.content(self._tasks, documents),
            strata=[self._task_names[task] for task, _ in self._where],
        )
        self._chance = requests.chance(self._tasks, documents)
        self._shapes = self._find_metrics(requests.probe(self._tasks))
        self.metrics = tuple(self._metric(key) for key in self._shapes)
        self._keys = {
            metric.name: key for metric, key in zip(self.metrics, self._shapes, strict=True)
        }
        self.primary = self._choose_primary()
        self._built: Any = None

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Build all requests of the task once (draws depend on order), then collate the split's."""
        from evomerge.evaluation import lm_eval_requests as requests

        if self._built is None or self._built[0] is not model.tokenizer:
            built = requests.build(self._tasks, self.settings, model.tokenizer)
            self._built = (model.tokenizer, built)
        built = self._built[1]
        instances = [
            built[task][document]
            for task, document in (self._where[member] for member in self._members(split))
        ]
        tasks = [self._where[member][0] for member in self._members(split)]
        return requests.Prepared.collate(
            model,
            instances,
            tasks,
            block_size=self.block_size,
            batch_size=self.settings["batch_size"],
        )

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Run the requests of the examples ``indices`` and let the task judge the responses."""
        found = requests.respond(
            model, indices, in_float32=self.settings["softmax_dtype"] == "float32"
        )
        results = requests.judge(self._tasks, indices, found)
        records = []
        for index, (metrics, answer, n_tokens, flags) in zip(indices, results, strict=True):
            task = requests.tasks[index]
            encoded = {
                metric.name: self._encode(self._keys[metric.name], task, metrics)
                for metric in self.metrics
            }
            records.append(ExampleRecord(encoded, answer, tokens=n_tokens, flags=flags))
        return records

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the task's own aggregate, or the group's of its tasks' own aggregates.

        NaN where no row is of a task that has the metric.
        """
        from evomerge.evaluation.lm_eval_metrics import aggregate_group

        if len(self._tasks) == 1:
            return self.aggregate_tasks(metric, values)[self._task_names[0]]
        parts = self.aggregate_tasks(metric, values)
        counts = np.bincount(self.strata(values), minlength=len(self._tasks))
        sizes = dict(zip(self._task_names, counts.tolist(), strict=True))
        return aggregate_group(self._group, ",".join(self._keys[metric]), parts, sizes)

    def aggregate_tasks(self, metric: str, values: NDArray[np.float64]) -> dict[str, float]:
        """Return task → its own aggregate; tasks without examples or without the metric are absent.

        Args:
            metric: One of ``metrics``.
            values: Per-example values, shape ``(n, width)``.
        """
        from evomerge.evaluation.lm_eval_metrics import aggregate_items, restore

        key = self._keys[metric]
        items: dict[int, list[Any]] = defaultdict(list)
        for row in values.tolist():
            task, numbers = (0, row) if len(self._tasks) == 1 else (int(row[0]), row[1:])
            shape = self._shapes[key].get(task)
            if shape is not None:
                items[task].append(restore(shape, numbers))
        return {
            self._task_names[task]: aggregate_items(self._tasks[task], key[0], found)
            for task, found in sorted(items.items())
        }

    def strata(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of each row's task, shape ``(n,)``."""
        if len(self._tasks) == 1:
            return np.zeros(len(values), dtype=np.intp)
        return values[:, 0].astype(np.intp)

    def scored(self, metric: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which rows are of a task that has ``metric``, shape ``(n,)``."""
        return np.isin(self.strata(values), list(self._shapes[self._keys[metric]]))

    def _encode(
        self, key: tuple[str, str], task: int, metrics: Mapping[tuple[str, str], Any]
    ) -> float | tuple[float, ...]:
        """Return one metric as stored: in a group, the task's number stands first."""
        from evomerge.evaluation.lm_eval_metrics import encode

        shape = self._shapes[key].get(task)
        width = max(shape.width for shape in self._shapes[key].values())
        if shape is None:
            return (float(task), *([0.0] * width))
        if key not in metrics:
            raise EvaluationError(
                f"task {self._task_names[task]!r} gave no metric {key[0]!r} for an example; "
                "expected it for each. Choose another metric of the task."
            )
        numbers = encode(shape, metrics[key], key[0])
        if len(self._tasks) > 1:
            return (float(task), *numbers, *([0.0] * (width - len(numbers))))
        return numbers[0] if len(numbers) == 1 else numbers

    def _find_metrics(
        self, probes: Sequence[Mapping[tuple[str, str], "Shape | None"]]
    ) -> dict[tuple[str, str], dict[int, "Shape"]]:
        """Return (metric, filter) → task number → structure, for metrics made of numbers."""
        found: dict[tuple[str, str], dict[int, Shape]] = {}
        texts = set()
        for task, probe in enumerate(probes):
            for key, shape in probe.items():
                if shape is None:
                    texts.add(key)
                else:
                    found.setdefault(key, {})[task] = shape
        usable = {key: shapes for key, shapes in found.items() if key not in texts}
        if not usable:
            raise EvaluationError(
                f"lm-eval task {self.settings['task']!r} has no metric that is a number for each "
                f"example (only {', '.join(sorted(key[0] for key in texts)) or 'none'}). "
                "Choose another task."
            )
        return usable

    def _metric(self, key: tuple[str, str]) -> Metric:
        from lm_eval.api.metrics import mean

        from evomerge.evaluation.lm_eval_metrics import BINARY, CHOSEN

        shapes = self._shapes[key]
        task = self._tasks[next(iter(shapes))]
        group = len(self._tasks) > 1
        filters = {other[1] for other in self._shapes}
        width = max(shape.width for shape in shapes.values())
        return Metric(
            key[0] if len(filters) == 1 else ",".join(key),
            direction="maximize" if task.higher_is_better().get(key[0], True) else "minimize",
            binary=key[0] in BINARY and not group and task.aggregation().get(key[0], mean) is mean,
            width=width + group,
            range="unit" if key[0] in BINARY and width == 1 else "free",
            reference=self._chance if key[0] in CHOSEN else None,
        )

    def _choose_primary(self) -> str:
        names = [metric.name for metric in self.metrics]
        wanted: str | None = self.settings["metric"]
        if wanted is None:
            return names[0]
        if wanted in names:
            return wanted
        for metric, key in zip(self.metrics, self._shapes, strict=True):
            if wanted in (key[0], ",".join(key)):
                return metric.name
        raise EvaluationError(
            f"lm-eval task {self.settings['task']!r} has no metric {wanted!r}; "
            f"{nearest(wanted, names)}"
        )
