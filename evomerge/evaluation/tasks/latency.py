"""How long the model takes to read a prompt and write tokens, measured where it is scored."""

import inspect
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evomerge.evaluation.base import fill_settings
from evomerge.evaluation.data import content_hash
from evomerge.evaluation.protocol import Example, ExampleRecord, Metric, evaluator
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    import torch

    from evomerge.evaluation.batches import GenerationBatch
    from evomerge.evaluation.language_model import LanguageModel

PARAMETERS = (
    Parameter("prompt_tokens", "int", "Tokens of the prompt, drawn at random.", default=64, low=1),
    Parameter("new_tokens", "int", "Tokens that are written after it.", default=16, low=1),
    Parameter("batch_size", "int", "Prompts that are answered together.", default=1, low=1),
    Parameter("repeats", "int", "Measurements; their median counts.", default=7, low=3),
)


@evaluator("latency", parameters=PARAMETERS)
class LatencyEvaluator:
    """Seconds per token that the model writes, the reading of the prompt included: a median.

    Each repeat is an example, so the interval is that of the median over repeats. All splits take
    the same measurement anew. Numbers are noisy, and those of busy or different machines don't
    compare: give each worker a device of its own, and hold candidates against a limit well away
    from their spread. Activations that routes share are not used.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed; it decides the prompts.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Settings don't fit.
    """

    metrics: Sequence[Metric] = (Metric("seconds_per_token", direction="minimize", ideal=0.0),)
    primary = "seconds_per_token"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        self.name = name
        self.settings = fill_settings("latency", PARAMETERS, name, options)
        self.block_size: int = self.settings["repeats"]
        self._seed = seed

    def fingerprint(self) -> str:
        """Hash of code version, settings and seed."""
        return content_hash({"version": "latency/1", "seed": self._seed, **self.settings})

    def n_examples(self, split: str) -> int:
        """Return the number of repeats."""
        return self.block_size

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return which repeat each is."""
        return [Example(f"repeat {index}", "") for index in indices]

    def prepare(self, model: "LanguageModel", split: str) -> Any:
        """Draw the prompts and collate them."""
        from evomerge.evaluation.batches import GenerationRequest

        rng = random.Random(self._seed)
        vocabulary = int(model.model.get_output_embeddings().weight.shape[0])
        rows, new_tokens = self.settings["batch_size"], self.settings["new_tokens"]
        prompts = [
            tuple(rng.randrange(vocabulary) for _ in range(self.settings["prompt_tokens"]))
            for _ in range(rows)
        ]
        requests = [[GenerationRequest(prompt, new_tokens)] for prompt in prompts]
        return model.plan_generation(requests, block_size=rows, batch_size=rows).batches

    def score(
        self, model: "LanguageModel", requests: Any, indices: Sequence[int]
    ) -> list[ExampleRecord]:
        """Measure once for each of ``indices``, after a run that isn't counted.

        Raises:
            NotFiniteError: The logits hold NaN or infinity.
        """
        tokens = self.settings["batch_size"] * self.settings["new_tokens"]
        _measure(model, requests)
        return [
            ExampleRecord({"seconds_per_token": _measure(model, requests) / tokens}, tokens=tokens)
            for _ in indices
        ]

    def aggregate(self, metric: str, values: NDArray[np.float64]) -> float:
        """Return the median."""
        return float(np.median(values[:, 0]))


def _measure(model: "LanguageModel", batches: Sequence["GenerationBatch"]) -> float:
    """Return the seconds that the answers of all batches take, none of which ends early."""
    import torch

    from evomerge.evaluation.decoding import StopTexts, decode_batch

    with torch.inference_mode():
        _synchronise(model.device)
        began = time.perf_counter()
        for batch in batches:
            model.rows_in_hand = batch.n_rows
            # No token and no text ends an answer, so every model writes as many.
            decode_batch(
                lambda **inputs: _forward(model.model, inputs),
                batch,
                eos_ids=frozenset(),
                stops=StopTexts((), lambda tokens: ""),
                decode=lambda tokens: "",
            )
        _synchronise(model.device)
        return time.perf_counter() - began


def _forward(network: Any, inputs: dict[str, Any]) -> Any:
    """Call the model itself, without what routes share."""
    given = {name: value for name, value in inputs.items() if value is not None}
    if "logits_to_keep" in inspect.signature(network.forward).parameters:
        given["logits_to_keep"] = 1
    return network(**given, use_cache=True)


def _synchronise(device: "torch.device") -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
