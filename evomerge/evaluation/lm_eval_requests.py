"""lm-eval requests: built once by the task, run in our batches, judged by the task."""

import copy
import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.base import Item
from evomerge.evaluation.batches import GenerationRequest, Plan, ScoringRequest
from evomerge.evaluation.data import content_hash
from evomerge.evaluation.language_model import LanguageModel
from evomerge.evaluation.lm_eval_loading import lm_eval_context
from evomerge.evaluation.lm_eval_metrics import Shape, shape_of

DEFAULT_MAX_NEW_TOKENS = 256
"""Answer limit of lm-eval's HFLM where a task sets none."""

_GREEDY_KEYS = frozenset(("until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k"))

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

Key = tuple[str, str]
"""(metric, filter)."""


def configure(task: Any, settings: Mapping[str, Any]) -> None:
    """Apply the user's settings to ``task`` as ``lm_eval.simple_evaluate`` does.

    Raises:
        EvaluationError: The task needs images or sound, or runs code without leave.
    """
    if getattr(task, "MULTIMODAL", False):
        raise EvaluationError(
            f"lm-eval task {task.task_name!r} needs images or sound; expected one of text only."
        )
    if getattr(task, "UNSAFE_CODE", False) and not settings["unsafe_code"]:
        raise EvaluationError(
            f"lm-eval task {task.task_name!r} runs code that the model writes. Set "
            "unsafe_code: true if this machine may."
        )
    if task.get_config("output_type") == "generate_until" and settings["gen_kwargs"]:
        task.set_config(key="generation_kwargs", value=dict(settings["gen_kwargs"]), update=True)
    own = task.get_config("num_fewshot")
    wanted = settings["num_fewshot"]
    # A task that says 0 itself keeps it, whatever the user asks: lm-eval's rule.
    if wanted is not None and own != 0:
        task.set_config(key="num_fewshot", value=wanted)
    elif own is None:
        task.set_config(key="num_fewshot", value=0)


def documents(task: Any) -> list[Item]:
    """Return the task's evaluation documents for people and for splitting, in its own order."""
    with lm_eval_context():
        return [_item(task, document) for document in task.eval_docs]


def _item(task: Any, document: Any) -> Item:
    prompt = task.doc_to_text(document)
    target = task.doc_to_target(document)
    choices: list[str] = []
    if getattr(task.config, "doc_to_choice", None) is not None:
        choices = [str(choice) for choice in task.doc_to_choice(document)]
        if isinstance(target, int) and 0 <= target < len(choices):
            target = choices[target]
    prompt = prompt if isinstance(prompt, str) else json.dumps(document, default=str)
    text = prompt or str(target)
    identity = "\n".join([text, *sorted(choices)])
    return Item(text, str(target), identity=identity, extra={"n_choices": len(choices)})


def chance(tasks: Sequence[Any], found: Sequence[Sequence[Item]]) -> float | None:
    """Return the accuracy of guessing, each task counting alike; None where one has no choices."""
    shares: list[float] = []
    for task, items in zip(tasks, found, strict=True):
        counts = [item.extra["n_choices"] for item in items]
        if task.OUTPUT_TYPE != "multiple_choice" or not counts or min(counts) < 1:
            return None
        shares.append(sum(1 / count for count in counts) / len(counts))
    return sum(shares) / len(shares)


def content(tasks: Sequence[Any], found: Sequence[Sequence[Item]]) -> str:
    """Return a hash of the tasks' settings, few-shot pools and documents."""
    parts = []
    for task, items in zip(tasks, found, strict=True):
        config = task.dump_config() if hasattr(task, "dump_config") else {}
        sampler = getattr(task, "sampler", None)
        parts.append(
            {
                "config": _ADDRESS.sub("", json.dumps(config, default=_plain, sort_keys=True)),
                "version": str(task.VERSION),
                "fewshot": json.dumps(list(getattr(sampler, "df", [])), default=str),
                "documents": [[item.text, item.expected] for item in items],
            }
        )
    return content_hash({"tasks": parts})


def _plain(value: Any) -> str:
    """Return a name that is the same in each process for what JSON can't hold."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def build(tasks: Sequence[Any], settings: Mapping[str, Any], tokenizer: Any) -> list[list[Any]]:
    """Let each task build all its requests; returns task → document → its instances in order.

    Raises:
        EvaluationError: The task's own code failed, or the tokenizer has no chat template.
    """
    chat = settings["chat_template"]
    if chat and not tokenizer.chat_template:
        raise EvaluationError(
            "the tokenizer has no chat template. Set chat_template: false, or choose a tokenizer "
            "that has one (recipe.tokenizer)."
        )
    stand_in = _ChatStandIn(tokenizer)
    built = []
    for task in tasks:
        with lm_eval_context():
            task.set_fewshot_seed(seed=settings["fewshot_seed"])
            try:
                task.build_all_requests(
                    system_instruction=settings["system_prompt"] or None,
                    apply_chat_template=chat,
                    fewshot_as_multiturn=settings["fewshot_as_multiturn"],
                    chat_template=stand_in.apply_chat_template if chat else None,
                    tokenizer_name=stand_in.tokenizer_name if chat else "",
                )
            except Exception as error:  # tasks bring code of their own
                raise EvaluationError(
                    f"lm-eval task {task.task_name!r} can't build its requests "
                    f"({type(error).__name__}: {error}). Check num_fewshot and the task's data."
                ) from error
        by_document: dict[int, list[Any]] = defaultdict(list)
        for instance in task.instances:
            by_document[instance.doc_id].append(instance)
        built.append(
            [sorted(by_document[n], key=lambda one: one.idx) for n in range(len(by_document))]
        )
    return built


class _ChatStandIn:
    """The parts of lm-eval's HFLM that building requests asks for."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.tokenizer_name = str(tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return the chat as text; without its system message where the template refuses one."""
        from jinja2.exceptions import TemplateError

        def render(history: list[dict[str, str]]) -> str:
            text: str = self._tokenizer.apply_chat_template(
                history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
            return text

        try:
            return render(chat_history)
        except TemplateError:
            return render([message for message in chat_history if message["role"] != "system"])


def probe(tasks: Sequence[Any]) -> list[dict[Key, Shape | None]]:
    """Return, for each task, (metric, filter) → structure of its per-example values.

    Found by letting the task judge made-up responses to its first document.
    """
    with lm_eval_context():
        return [_probe(task) for task in tasks]


def _probe(task: Any) -> dict[Key, Shape | None]:
    document = next(iter(task.eval_docs))
    try:
        requests = task.construct_requests(doc=document, ctx="", metadata=(None, 0, 1))
    except Exception:  # noqa: BLE001  a task may want several contexts; the count is what matters
        requests = [None] * len(task.doc_to_choice(document))
    count = len(requests) if isinstance(requests, list) else 1
    responses: dict[str, Any] = {
        "multiple_choice": (-1.0, False),
        "loglikelihood": (-1.0, False),
        "loglikelihood_rolling": -1.0,
        "generate_until": "",
    }
    response = responses[task.OUTPUT_TYPE]
    found: dict[Key, Shape | None] = {}
    for ensemble in task._filters:
        try:
            given = [[response] for _ in range(count)]
            for make in ensemble.filters:
                given = list(make().apply(given, [document] * count))
            metrics = task.process_results(document, given)
        except Exception:  # noqa: BLE001  made-up responses may be too strange for a task's own code
            metrics = dict.fromkeys(task.aggregation(), 0.0)
        for metric, value in metrics.items():
            found[metric, ensemble.name] = shape_of(value)
    return found


@dataclass(frozen=True)
class Prepared:
    """Requests of one split.

    Args:
        instances: Example → lm-eval's instances.
        tasks: Example → number of its task.
        generation: Batches of ``generate_until`` requests.
        scoring: Batches of ``loglikelihood`` and ``loglikelihood_rolling`` requests.
        windows: Example → for each of its scored instances, how many requests it became.
    """

    instances: Sequence[Sequence[Any]]
    tasks: Sequence[int]
    generation: Plan[Any]
    scoring: Plan[Any]
    windows: Sequence[Sequence[int]]

    @classmethod
    def collate(
        cls,
        model: LanguageModel,
        instances: Sequence[Sequence[Any]],
        tasks: Sequence[int],
        *,
        block_size: int,
        batch_size: int,
    ) -> "Prepared":
        """Tokenise and collate."""
        generation: list[list[GenerationRequest]] = []
        scoring: list[list[ScoringRequest]] = []
        windows: list[list[int]] = []
        for members in instances:
            generation.append(
                [_generation(model, m) for m in members if m.request_type == "generate_until"]
            )
            parts = [_scoring(model, m) for m in members if m.request_type != "generate_until"]
            scoring.append([request for part in parts for request in part])
            windows.append([len(part) for part in parts])
        size = {"block_size": block_size, "batch_size": batch_size}
        return cls(
            instances,
            tasks,
            model.plan_generation(generation, **size),
            model.plan_scoring(scoring, **size),
            windows,
        )

    def respond(
        self, model: LanguageModel, indices: Sequence[int], *, in_float32: bool
    ) -> list[list[tuple[Any, int, tuple[str, ...]]]]:
        """Return example → instance → (response, tokens, flags)."""
        import torch

        written = model.generate(self.generation, indices)
        scored = model.logprobs(
            self.scoring, indices, softmax_dtype=torch.float32 if in_float32 else None
        )
        found = []
        for index, answers, parts in zip(indices, written, scored, strict=True):
            texts, sums, counts = iter(answers), iter(parts), iter(self.windows[index])
            responses: list[tuple[Any, int, tuple[str, ...]]] = []
            for instance in self.instances[index]:
                if instance.request_type == "generate_until":
                    answer = next(texts)
                    flags = tuple(f for f in ("capped", "truncated") if getattr(answer, f))
                    responses.append((answer.text, answer.n_tokens, flags))
                    continue
                pieces = [next(sums) for _ in range(next(counts))]
                total = sum(piece.logprob for piece in pieces)
                n_tokens = sum(piece.n_tokens for piece in pieces)
                if instance.request_type == "loglikelihood":
                    responses.append(((total, pieces[0].is_greedy), n_tokens, ()))
                else:
                    responses.append((total, n_tokens, ()))
            found.append(responses)
        return found

    def judge(
        self,
        tasks: Sequence[Any],
        indices: Sequence[int],
        found: Sequence[Sequence[tuple[Any, int, tuple[str, ...]]]],
    ) -> list[tuple[dict[Key, Any], str | None, int, tuple[str, ...]]]:
        """Let each task filter and judge its responses; (metrics, answer, tokens, flags) each."""
        filled = []
        for index, responses in zip(indices, found, strict=True):
            filled.append(
                [
                    dataclasses.replace(
                        instance,
                        resps=[response] * (instance.repeats or 1),
                        filtered_resps={},
                    )
                    for instance, (response, _, _) in zip(
                        self.instances[index], responses, strict=True
                    )
                ]
            )
        self._filter(tasks, indices, filled)
        results = []
        for index, instances, responses in zip(indices, filled, found, strict=True):
            metrics = _judge_one(tasks[self.tasks[index]], instances)
            texts = [text for text, _, _ in responses if isinstance(text, str)]
            flags = tuple(sorted({flag for _, _, given in responses for flag in given}))
            answer = texts[0] if texts else None
            results.append((metrics, answer, sum(n for _, n, _ in responses), flags))
        return results

    def _filter(
        self, tasks: Sequence[Any], indices: Sequence[int], filled: Sequence[Sequence[Any]]
    ) -> None:
        """Apply each task's filters to all of its responses at once, as lm-eval does."""
        by_task: dict[int, list[Any]] = defaultdict(list)
        for index, instances in zip(indices, filled, strict=True):
            by_task[self.tasks[index]] += instances
        for task, instances in by_task.items():
            for ensemble in tasks[task]._filters:
                ensemble.apply(instances)


def _judge_one(task: Any, instances: Sequence[Any]) -> dict[Key, Any]:
    """Return (metric, filter) → what the task makes of one document's responses."""
    found: dict[Key, Any] = {}
    for name in instances[0].filtered_resps:
        metrics = task.process_results(
            instances[0].doc, [instance.filtered_resps[name] for instance in instances]
        )
        found.update({(metric, name): value for metric, value in metrics.items()})
    return found


def _generation(model: LanguageModel, instance: Any) -> GenerationRequest:
    """Return the request of a ``generate_until`` instance, read as HFLM reads it.

    Raises:
        EvaluationError: The task samples, or decodes in a way that is not greedy.
    """
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

    prompt, given = instance.args[0], copy.deepcopy(instance.args[1])
    kwargs: dict[str, Any] = dict(normalize_gen_kwargs(given, DEFAULT_MAX_NEW_TOKENS))
    unknown = sorted(set(kwargs) - _GREEDY_KEYS)
    if kwargs.get("do_sample") or unknown:
        raise EvaluationError(
            f"lm-eval task {instance.task_name!r} decodes with {given}; expected greedy decoding "
            f"with {', '.join(sorted(_GREEDY_KEYS))}. Set gen_kwargs: {{do_sample: false, "
            "temperature: 0}, or choose another task."
        )
    eos = model.tokenizer.eos_token_id
    eos_text = None if eos is None else model.tokenizer.decode([eos], skip_special_tokens=False)
    stop = handle_stop_sequences(kwargs["until"], eos=eos_text)
    return model.encoder.generation_request(
        prompt, max_new_tokens=kwargs["max_gen_toks"], stop=stop
    )


def _scoring(model: LanguageModel, instance: Any) -> list[ScoringRequest]:
    """Return the requests of a ``loglikelihood`` or ``loglikelihood_rolling`` instance."""
    if instance.request_type == "loglikelihood_rolling":
        return model.encoder.windows(instance.args[0])
    return [model.encoder.encode_pair(instance.args[0], instance.args[1])]
