"""The language plug-in: sentences that it must tell apart, and what it leaves undecided."""

# ruff: noqa: RUF001  other alphabets look like Latin on purpose

import sys
from pathlib import Path

import pytest

from evomerge.recipes.declarations import load_plugin_file

load_plugin_file(Path(__file__).parents[2] / "evaluators" / "language_id.py")
detect = sys.modules["evomerge_plugin_language_id"].detect

SENTENCES = {
    "en": (
        "The weather is going to be nice, and we should go for a walk in the park.",
        "Water boils when its temperature reaches one hundred degrees.",
        "I don't think that this is what they wanted to say about it.",
    ),
    "de": (
        "Das Wetter wird schön, und wir sollten im Park spazieren gehen.",
        "Wasser kocht, wenn seine Temperatur hundert Grad erreicht.",
        "Ich glaube nicht, dass sie das sagen wollten.",
    ),
    "fr": (
        "Il va faire beau et nous devrions nous promener dans le parc.",
        "L'eau bout quand sa température atteint cent degrés.",
        "Je ne pense pas que ce soit ce qu'ils voulaient dire.",
    ),
    "es": (
        "Va a hacer buen tiempo y deberíamos dar un paseo por el parque.",
        "El agua hierve cuando su temperatura llega a los cien grados.",
        "No creo que sea lo que querían decir sobre esto.",
    ),
    "it": (
        "Il tempo sarà bello e dovremmo fare una passeggiata nel parco.",
        "L'acqua bolle quando la sua temperatura raggiunge i cento gradi.",
        "Non credo che sia quello che volevano dire.",
    ),
    "pt": (
        "O tempo vai ficar bom e devíamos dar um passeio no parque.",
        "A água ferve quando a sua temperatura chega aos cem graus.",
        "Não acho que seja isso que eles queriam dizer.",
    ),
    "nl": (
        "Het wordt mooi weer en we zouden in het park moeten gaan wandelen.",
        "Water kookt wanneer de temperatuur honderd graden bereikt.",
        "Ik denk niet dat dit is wat ze wilden zeggen.",
    ),
    "ru": ("Погода будет хорошая, и мы могли бы погулять в парке.",),
    "uk": ("Погода буде гарна, і ми могли б погуляти в парку.",),
    "ja": ("天気が良くなるので、公園を散歩しましょう。",),
    "zh": ("天气会很好,我们应该去公园散步。",),
    "ko": ("날씨가 좋아질 테니 공원에서 산책합시다.",),
    "el": ("Ο καιρός θα είναι καλός.",),
    "ar": ("سيكون الطقس جميلا اليوم.",),
    "hi": ("आज मौसम अच्छा रहेगा।",),
    "th": ("วันนี้อากาศจะดี",),
    "he": ("מזג האוויר יהיה יפה היום.",),
}


@pytest.mark.parametrize(
    ("language", "sentence"),
    [(language, sentence) for language, texts in SENTENCES.items() for sentence in texts],
)
def test_plain_sentences_are_told_apart(language: str, sentence: str) -> None:
    assert detect(sentence) == language


@pytest.mark.parametrize("text", ["", "42", "?!", "xyzzy"])
def test_without_evidence_it_stays_undecided(text: str) -> None:
    assert detect(text) is None
