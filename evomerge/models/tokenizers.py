"""What two tokenizers differ in, read from their files; transformers loads only if it must."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.errors import ModelError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "chat_template.json",
    "chat_template.jinja",
    "additional_chat_templates/*.jinja",
)
"""Patterns of the files that make up a tokenizer, relative to a model's folder."""

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True)
class _Tokenizer:
    """What is compared of one tokenizer."""

    ids: Mapping[str, int]
    special: Mapping[str, str]
    template: str | None
    rules: Mapping[str, Any] = field(default_factory=dict)


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the tokenizer's files in ``folder``, sorted by name."""
    found = {path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file())


def vocabulary_difference(a: Path, b: Path) -> str | None:
    """Say how token → id differs between the tokenizers in ``a`` and ``b``, None if it doesn't.

    Merging adds row i of one embedding to row i of another, so equal tokens must have equal ids.
    Special tokens' roles, chat templates and splitting rules don't matter for that; see
    ``tokenizer_differences``. A folder without tokenizer differs from none.

    Raises:
        ModelError: A tokenizer file can't be read.
    """
    one, other = _read(a), _read(b)
    return None if one is None or other is None else _difference_of_ids(one.ids, other.ids)


def tokenizer_differences(a: Path, b: Path) -> list[str]:
    """Return all that differs between the tokenizers in folders ``a`` and ``b``, one line each.

    Raises:
        ModelError: A tokenizer file can't be read.
    """
    one, other = _read(a), _read(b)
    if one is None or other is None:
        missing = [str(folder) for folder, found in ((a, one), (b, other)) if found is None]
        return [] if len(missing) == 2 else [f"{missing[0]} has no tokenizer."]
    lines = []
    if ids := _difference_of_ids(one.ids, other.ids):
        lines.append(ids)
    for role in _SPECIAL:
        if one.special.get(role) != other.special.get(role):
            lines.append(f"{role} is {one.special.get(role)!r} and {other.special.get(role)!r}.")
    if one.template != other.template:
        lines.append(f"chat templates differ ({_told(one.template)}, {_told(other.template)}).")
    changed = [name for name in one.rules if one.rules[name] != other.rules.get(name)]
    if changed and other.rules:
        lines.append(f"texts may be split differently: {', '.join(changed)} differ.")
    return lines


def chat_template(folder: Path) -> str | None:
    """Return the chat template of the tokenizer in ``folder``, None without one.

    Raises:
        ModelError: A tokenizer file can't be read.
    """
    return _template(folder, _json(folder / "tokenizer_config.json"))


def vocabulary_size(folder: Path) -> int | None:
    """Return one more than the largest token id of the tokenizer in ``folder``, None without one.

    Raises:
        ModelError: A tokenizer file can't be read.
    """
    tokenizer = _read(folder)
    return None if tokenizer is None else max(tokenizer.ids.values(), default=-1) + 1


def _told(template: str | None) -> str:
    return "none" if template is None else f"{len(template)} characters"


def _difference_of_ids(one: Mapping[str, int], other: Mapping[str, int]) -> str | None:
    if one == other:
        return None
    moved = [token for token, index in one.items() if other.get(token, index) != index]
    only_one = [token for token in one if token not in other]
    only_other = [token for token in other if token not in one]
    parts = []
    if len(one) != len(other):
        parts.append(f"{len(one)} and {len(other)} tokens")
    if moved:
        token = moved[0]
        parts.append(
            f"{len(moved)} tokens with other ids, as {token!r} ({one[token]} and {other[token]})"
        )
    if only_one:
        parts.append(f"{len(only_one)} tokens only in the first, as {only_one[0]!r}")
    if only_other:
        parts.append(f"{len(only_other)} tokens only in the second, as {only_other[0]!r}")
    return "vocabularies differ: " + "; ".join(parts) + "."


def _read(folder: Path) -> _Tokenizer | None:
    """Read the tokenizer in ``folder``; None where there is none."""
    folder = Path(folder)
    config = _json(folder / "tokenizer_config.json")
    special_map = _json(folder / "special_tokens_map.json")
    special = {
        role: _content(source[role])
        for source in (special_map, config)
        for role in _SPECIAL
        if source.get(role) is not None
    }
    whole = _json(folder / "tokenizer.json")
    if whole:
        rules = {
            part: whole.get(part) for part in ("normalizer", "pre_tokenizer", "post_processor")
        }
        rules["merges"] = _merges(whole)
        return _Tokenizer(_ids_of(folder, whole), special, _template(folder, config), rules)
    ids = _plain_ids(folder)
    if ids is None:
        ids = _loaded_ids(folder) if list(folder.glob("*.model")) else None
    return None if ids is None else _Tokenizer(ids, special, _template(folder, config))


def _ids_of(folder: Path, whole: Mapping[str, Any]) -> dict[str, int]:
    """Token → id of a ``tokenizer.json``; added tokens win."""
    try:
        vocab = whole["model"]["vocab"]
        if isinstance(vocab, Mapping):
            ids = {str(token): int(index) for token, index in vocab.items()}
        else:  # Unigram: pairs of token and score, by id
            ids = {str(token): index for index, (token, _) in enumerate(vocab)}
        ids |= {
            str(token["content"]): int(token["id"]) for token in whole.get("added_tokens") or ()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / 'tokenizer.json'} has no readable vocabulary ({error!r}). "
            "Save the tokenizer again."
        ) from error
    return ids


def _merges(whole: Mapping[str, Any]) -> list[str]:
    """Merges of a BPE in one spelling: files have pairs, or texts with a space."""
    merges = (whole.get("model") or {}).get("merges") or ()
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def _plain_ids(folder: Path) -> dict[str, int] | None:
    """Token → id of the older files ``vocab.json`` and ``vocab.txt``."""
    if vocab := _json(folder / "vocab.json"):
        return {**vocab, **_json(folder / "added_tokens.json")}
    path = folder / "vocab.txt"
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    return {token: index for index, token in enumerate(lines)}


def _loaded_ids(folder: Path) -> dict[str, int]:
    """Token → id of a tokenizer that only transformers can read (SentencePiece)."""
    from transformers import AutoTokenizer

    loader: Any = AutoTokenizer
    try:
        tokenizer = loader.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the tokenizer in {folder} can't be loaded: {reason}. "
            "Save it again with a current transformers, so that it has a tokenizer.json."
        ) from error
    return dict(tokenizer.get_vocab())


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = _json(folder / "chat_template.json").get("chat_template")
    template = config.get("chat_template") if template is None else template
    return template if template is None or isinstance(template, str) else json.dumps(template)


def _content(token: Any) -> str:
    return str(token["content"]) if isinstance(token, Mapping) else str(token)


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no file."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read as JSON: {error}. Save it again.") from error
    if not isinstance(plain, dict):
        raise ModelError(f"{path} holds {type(plain).__name__}, expected a JSON object.")
    return plain
