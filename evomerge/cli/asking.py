"""The command that asks models of a run: ask."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from evomerge.cli.display import plain, print_json, say
from evomerge.cli.options import JsonOption, RunArgument, find_run

if TYPE_CHECKING:
    from evomerge.execution.protocol import Outcome
    from evomerge.runs.talks import Addressee


def register(app: typer.Typer) -> None:
    """Add this module's command to ``app``."""
    app.command("ask")(ask)


def ask(
    run: RunArgument,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is asked.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(
            "--candidate",
            metavar="ID",
            help="A candidate's id, 'best' (the default), or ref-NAME for a source; repeatable, "
            "at most four.",
        ),
    ] = None,
    parents: Annotated[bool, typer.Option("--parents", help="Ask their parents too.")] = False,
    base: Annotated[bool, typer.Option("--base", help="Ask the base too.")] = False,
    sources: Annotated[bool, typer.Option("--sources", help="Ask all sources too.")] = False,
    system: Annotated[str, typer.Option("--system", help="System message.")] = "",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, max=4096, help="Limit of an answer.")
    ] = 128,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, max=5, help="0: the likeliest tokens.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws above 0.")] = 0,
    no_chat_template: Annotated[
        bool, typer.Option("--no-chat-template", help="Give the prompt as it is.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Let candidates of a run answer a prompt, before anything is exported.

    The models are built in this process, one after the other; nothing is stored.
    """
    from evomerge.runs.answering import ask_here
    from evomerge.runs.asking import Question

    question = Question(
        prompt=prompt,
        candidates=tuple(candidate or ["best"]),
        parents=parents,
        base=base,
        sources=sources,
        system=system,
        template=not no_chat_template,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
    )
    answers = []
    for item, outcome in ask_here(find_run(run), question):
        if json:
            answers.append(_document(item, outcome))
        else:
            _print(item, outcome)
    if json:
        print_json({"prompt": prompt, "answers": answers})


def _document(item: "Addressee", outcome: "Outcome") -> dict[str, Any]:
    failure = outcome.failure.message if outcome.failure is not None else None
    said: dict[str, Any] = {"text": None} if outcome.reply is None else plain(outcome.reply)
    return {"model": item.model, "role": item.role, **said, "failure": failure}


def _print(item: "Addressee", outcome: "Outcome") -> None:
    """Print one answer; the name goes to stdout too, so that a file of answers makes sense."""
    print(f"── {item.model} ({item.role})")
    if outcome.reply is None:
        reason = outcome.failure.message if outcome.failure is not None else "no answer"
        say(f"{item.model}: {reason}")
    else:
        print(_visible(outcome.reply.text) + (" …" if outcome.reply.capped else ""))
    print(flush=True)


def _visible(text: str) -> str:
    """Return ``text`` without what a terminal would obey; models may write anything."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
