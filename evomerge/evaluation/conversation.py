"""What a model is asked outside of all tasks, and what it says. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One turn.

    Args:
        role: ``system``, ``user`` or ``assistant``.
        content: What is said.
    """

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, and how it answers.

    Args:
        messages: The conversation so far, a user's turn last.
        max_new_tokens: Limit of the answer; a model that has less room gives less.
        temperature: 0 takes the likeliest token each time; above that, tokens are drawn.
        seed: Of the draws.
        template: Use the tokenizer's chat template where there is one.
    """

    messages: tuple[Message, ...]
    max_new_tokens: int = 128
    temperature: float = 0.0
    seed: int = 0
    template: bool = True


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Args:
        text: Without special tokens.
        n_tokens: Tokens generated, the end token not counted.
        capped: The token limit ended it.
        truncated: The beginning of the conversation was cut off, because there was no room.
        templated: A chat template was used.
    """

    text: str
    n_tokens: int
    capped: bool = False
    truncated: bool = False
    templated: bool = False
