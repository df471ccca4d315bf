"""Texts and chats turned into token ids and requests, as lm-eval tokenises them."""

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.errors import EvaluationError
from evomerge.evaluation.batches import GenerationRequest, ScoringRequest

DEFAULT_MAX_LENGTH = 2048


class TextEncoder:
    """Makes requests for one model from texts.

    Args:
        tokenizer: The model's tokenizer; never changed.
        max_length: Most tokens that the model takes.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length

    @property
    def prefix_id(self) -> int:
        """Token that stands before a text without context: BOS, or EOS where there is none."""
        token = self.tokenizer.bos_token_id
        if token is None:
            token = self.tokenizer.eos_token_id
        if token is None:
            raise EvaluationError(
                "the tokenizer has neither a BOS nor an EOS token, so a text without context "
                "can't be scored. Set bos_token or eos_token in tokenizer_config.json."
            )
        return int(token)

    def encode(self, text: str, *, special: bool | None = None) -> tuple[int, ...]:
        """Return the token ids of ``text``.

        Args:
            text: Any text.
            special: Add BOS or EOS as the tokenizer does; None: unless the text starts with BOS.
        """
        if special is None:
            bos = self.tokenizer.bos_token
            special = not (bos and text.startswith(bos))
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special)
        return tuple(ids)

    def encode_pair(self, context: str, continuation: str) -> ScoringRequest:
        """Return the request that scores ``continuation``, tokenised as lm-eval does.

        Both are tokenised together, spaces at the end of the context belong to the continuation,
        and an empty context becomes ``prefix_id``. What exceeds the model's length is cut.

        Raises:
            EvaluationError: The continuation has no tokens, or more than the model takes.
        """
        if context == "":
            scored = self.encode(continuation, special=False)
            before: tuple[int, ...] = (self.prefix_id,)
            if scored and scored[0] == self.prefix_id:
                before, scored = scored[:1], scored[1:]
        else:
            kept = context.rstrip()
            continuation = context[len(kept) :] + continuation
            before = self.encode(kept)
            scored = self.encode(kept + continuation)[len(before) :]
        return self.fit(before, scored, continuation)

    def fit(
        self, context: tuple[int, ...], continuation: tuple[int, ...], text: str = ""
    ) -> ScoringRequest:
        """Return the request for these tokens, context cut on the left to the model's length."""
        if not context or not 0 < len(continuation) <= self.max_length:
            raise EvaluationError(
                f"the continuation {text[:60]!r} has {len(continuation)} tokens after "
                f"{len(context)} of context; expected at least one of each and at most "
                f"{self.max_length} to score. Mend the example."
            )
        excess = len(context) + len(continuation) - (self.max_length + 1)
        return ScoringRequest(context[excess:] if excess > 0 else context, continuation)

    def windows(self, text: str) -> list[ScoringRequest]:
        """Return requests that score every token of ``text`` once: lm-eval's rolling windows.

        Each window predicts as many new tokens as the model takes, after a token of context.
        """
        tokens = self.encode(text)
        first = tokens[: self.max_length]
        if not first:
            return []
        requests = [ScoringRequest((self.prefix_id,), first)]
        done = len(first)
        while done < len(tokens):
            end = min(done + self.max_length, len(tokens))
            start = end - self.max_length - 1
            requests.append(ScoringRequest(tokens[start:done], tokens[done:end]))
            done = end
        return requests

    def chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return ``messages`` in the tokenizer's chat template, ready for the model's turn.

        Raises:
            EvaluationError: The tokenizer has no chat template, or it refuses the messages.
        """
        if not self.tokenizer.chat_template:
            raise EvaluationError(
                "the tokenizer has no chat template. Set chat_template: false, or choose a "
                "tokenizer that has one (recipe.tokenizer)."
            )
        from jinja2.exceptions import TemplateError

        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise EvaluationError(
                f"the chat template refuses the messages: {error}. A template without a system "
                "role needs system_prompt to be empty."
            ) from error
        return text

    def generation_request(
        self, prompt: str, *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> GenerationRequest:
        """Return the request that continues ``prompt``, cut on the left if it leaves no room.

        Raises:
            EvaluationError: No room is left for a prompt, or the prompt has no tokens.
        """
        room = self.max_length - max_new_tokens
        if room < 1:
            raise EvaluationError(
                f"max_new_tokens is {max_new_tokens} and the model takes {self.max_length} tokens "
                "in all, so no prompt fits. Lower max_new_tokens."
            )
        tokens = self.encode(prompt)
        if not tokens:
            raise EvaluationError(f"the prompt {prompt!r} has no tokens. Give it some text.")
        return GenerationRequest(
            tokens[-room:], max_new_tokens, tuple(stop), truncated=len(tokens) > room
        )


def find_max_length(config: Any, tokenizer: Any) -> int:
    """Return the most tokens that the model takes, found as lm-eval finds it."""
    text_config = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(text_config, name, None)
        if value is not None:
            return int(value)
    value = getattr(tokenizer, "modelfind_max_length", None)
    # transformers writes 1e30 for "no limit known".
    return int(value) if value is not None and value < 1e29 else DEFAULT_MAX_LENGTH
