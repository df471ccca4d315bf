from pathlib import Path

import pytest

from evomerge.models.licences import conflicts, licence_of

APACHE = "              Apache License\n        Version 2.0, January 2004\n"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\n# Model", "apache-2.0"),
        ("---\nlicense: MIT\n---\n", "mit"),
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", "mit and cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: qwen\n---\n", "qwen"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [a]\n---\n", None),
        ("---\n: [broken\n---\n", None),
        ("# license: mit", None),
    ],
)
def test_the_model_card_is_read(tmp_path: Path, card: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path) == licence


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        (APACHE, "apache-2.0"),
        ("MIT License\n\nCopyright (c) 2024", "mit"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version", "llama3.1"),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT", "llama3"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "gpl-3.0"),
        ("Attribution-NonCommercial 4.0 International", "cc-by-nc-4.0"),
        ("The Own Licence of Somebody\nAll rights reserved", "the own licence of somebody"),
        ("\n  \n", None),
    ],
)
def test_a_licence_file_is_recognised(tmp_path: Path, text: str, licence: str | None) -> None:
    (tmp_path / "LICENSE").write_text(text)
    assert licence_of(tmp_path) == licence


def test_the_card_counts_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("MIT License")
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert licence_of(tmp_path) == "apache-2.0"
    assert licence_of(tmp_path / "nowhere") is None


def test_free_licences_go_together() -> None:
    assert conflicts({"a": "apache-2.0", "b": "mit", "c": "bsd-3-clause", "d": "cc-by-4.0"}) == []
    assert conflicts({"a": "llama3.1", "b": "apache-2.0"}) == []


@pytest.mark.parametrize(
    ("licences", "told"),
    [
        ({"a": None, "b": "mit"}, ["a states no licence"]),
        ({"a": "cc-by-nc-4.0", "b": "mit"}, ["a (cc-by-nc-4.0) forbids commercial use"]),
        ({"a": "llama2", "b": "mit"}, ["a (llama2) may not be used to improve other models"]),
        ({"a": "gpl-3.0", "b": "gemma"}, ["wants merges under its own licence", "all bind"]),
        ({"a": "gemma", "b": "llama3.1"}, ["the terms of gemma, llama3.1 all bind"]),
    ],
)
def test_trouble_is_told(licences: dict[str, str | None], told: list[str]) -> None:
    lines = conflicts(licences)
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))
