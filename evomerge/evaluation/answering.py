"""Answers to prompts of people: the same decoding as in tasks, with draws where they are wanted."""

from collections.abc import Callable

import torch
from torch import Tensor

from evomerge.errors import NotFiniteError
from evomerge.evaluation.conversation import Prompt, Reply
from evomerge.evaluation.encoding import TextEncoder
from evomerge.evaluation.language_model import LanguageModel


def answer(model: LanguageModel, prompt: Prompt) -> Reply:
    """Return what ``model`` says to ``prompt``; no random state but its own is touched.

    Raises:
        EvaluationError: The prompt has no tokens, or the chat template refuses it.
        NotFiniteError: The logits hold NaN or infinity.
    """
    encoder = model.encoder
    text, templated = _text(encoder, prompt)
    # At least half of what a model can read is the prompt's.
    room = max(1, encoder.max_length // 2)
    request = encoder.generation_request(text, max_new_tokens=min(prompt.max_new_tokens, room))
    plan = model.plan_generation([[request]], block_size=1, batch_size=1)
    choose = drawing(prompt.temperature, prompt.seed) if prompt.temperature > 0 else None
    ((found,),) = model.generate(plan, [0], choose=choose)
    return Reply(found.text, found.n_tokens, found.capped, found.truncated, templated)


def drawing(temperature: float, seed: int) -> Callable[[Tensor], Tensor]:
    """Return what draws a token a row from logits of shape ``(b, v)``.

    It draws on the CPU, so that a seed means the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)

    def choose(logits: Tensor) -> Tensor:
        # A GPU would end its whole process over a NaN here.
        if not bool(torch.isfinite(logits.max(dim=-1).values).all()):
            raise NotFiniteError("the model gave logits that are not finite (NaN or infinity).")
        shares = (logits.double() / temperature).softmax(dim=-1).cpu()
        return torch.multinomial(shares, 1, generator=generator)[:, 0].to(logits.device)

    return choose


def _text(encoder: TextEncoder, prompt: Prompt) -> tuple[str, bool]:
    """Return the conversation as one text, and whether a chat template made it."""
    if prompt.template and encoder.tokenizer.chat_template:
        turns = [{"role": item.role, "content": item.content} for item in prompt.messages]
        return encoder.chat(turns), True
    return "\n".join(item.content for item in prompt.messages), False
