"""Does the model answer in the wanted language? A plug-in with a small detector of its own.

    evomerge run CONFIG --plugin evaluators/language_id.py

    evaluators:
      german: {type: language_id, data: prompts.jsonl, language: de, max_new_tokens: 40}

The detector is simple on purpose and needs no download. It first looks at scripts, which settles
languages that have one to themselves; between languages of one script it counts frequent short
words, letters and letter sequences. It knows the languages in ``LANGUAGES`` and no others: a text
in another language of a known script (Danish, say) is taken for the nearest it knows. Answers of a
few words are often undecided, and undecided counts as wrong. For claims about languages it doesn't
separate well, bring a trained identifier as a plug-in of your own.
"""

# ruff: noqa: RUF001  Cyrillic words look like Latin ones on purpose.

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evomerge.evaluation.base import DATA, STRATIFY, Item, fill_settings
from evomerge.evaluation.data import read_table
from evomerge.evaluation.prompting import TEMPLATE, render_template
from evomerge.evaluation.protocol import Metric, evaluator
from evomerge.evaluation.text_generation import GENERATION_PARAMETERS, TOKENS, GenerationTask
from evomerge.recipes.declarations import Parameter

if TYPE_CHECKING:
    from evomerge.evaluation.decoding import Generated

SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "GREEK": "el",
    "HEBREW": "he",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "ARABIC": "ar",
    "CYRILLIC": "cyrillic",
    "LATIN": "latin",
}
"""First word of a character's Unicode name → the language that the script is taken for."""

WORDS = {
    "en": "the and of to in is that it was for on are with as his they be at this have from or not "
    "what all were we when your can there an which their if will about but how you",
    "de": "der die das und ist nicht ein eine ich du er sie es wir zu den dem mit auf für von im "
    "sich auch als wie aber oder war sind hat haben wird einen nur noch nach bei um am aus",
    "fr": "le la les et est une des du que qui dans pour pas sur il elle nous vous je ce cette "
    "avec sont au aux plus ne se par mais ou comme être leur été son ses tout",
    "es": "el los las y es una que en de por con para se no su lo como más pero sus le ya o este "
    "sí porque esta entre cuando muy sin sobre también me hasta hay donde quien está",
    "it": "il lo gli e è una che di in per non con del della sono si da al come più ma anche alla "
    "dei delle nel questo nella ha ci se ho quando molto tutto perché chi loro essere i un suo "
    "sua gli dopo quello quella ogni fare",
    "pt": "o os as e é uma que em de por com para não se do da dos das no na mais como mas foi ao "
    "ele tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até "
    "aos um meu minha isso isto são foram depois tudo cada fazer",
    "nl": "de het een en van is dat niet ik je hij zij we te op met voor aan er maar om ook als "
    "bij nog naar dan wel zijn was heeft hebben wordt door over uit deze die wat geen worden",
    "ru": "и в не на я что он с как это по но они мы из у за то так же от бы для вы было она или",
    "uk": "і в не на я що він з як це по але вони ми із у за то так же від б для ви було вона або",
}
"""Frequent words; one counts 2 for each language that it belongs to."""

LETTERS = {
    "en": "th wh ing ght sh tion",
    "de": "ä ö ü ß sch ch ei ie ung",
    "fr": "é è ê ç à œ eau oi qu aux",
    "es": "ñ ¿ ¡ ción ll ía ue dad",
    "it": "zione gli cch ò ù ità gn gg",
    "pt": "ã õ ç lh nh ção ões",
    "nl": "ij aa ee oo uu sch ijk",
    "ru": "ы э ё ъ",
    "uk": "і ї є ґ",
}
"""Letters and sequences that are typical; one counts 1/2."""

SCRIPT_OF = {code: "cyrillic" if code in ("ru", "uk") else "latin" for code in WORDS}
LANGUAGES = tuple(
    sorted({*WORDS, *(code for code in SCRIPTS.values() if code not in ("cyrillic", "latin"))})
)
_WORD_SETS = {code: frozenset(words.split()) for code, words in WORDS.items()}


def detect(text: str) -> str | None:
    """Return the code of the language that ``text`` seems to be in, or None if undecided."""
    scripts = Counter(
        unicodedata.name(character, "").split(" ")[0].split("-")[0]
        for character in text
        if character.isalpha()
    )
    found: Counter[str] = Counter()
    for script, count in scripts.items():
        if script in SCRIPTS:
            found[SCRIPTS[script]] += count
    if not found:
        return None
    if found["ja"] and found["ja"] + found["zh"] > sum(found.values()) / 2:
        # Japanese mixes its own letters with Chinese characters; Chinese never does.
        return "ja"
    top = found.most_common(1)[0][0]
    return _by_words(text, top) if top in ("latin", "cyrillic") else top


def _by_words(text: str, script: str) -> str | None:
    """Return the language of ``script`` with the most evidence, or None without any or in a tie."""
    lowered = unicodedata.normalize("NFC", text).lower()
    words = re.findall(r"[^\W\d_]+", lowered)
    scores = {
        code: 2.0 * sum(word in _WORD_SETS[code] for word in words)
        + 0.5 * sum(lowered.count(letters) for letters in LETTERS[code].split())
        for code in WORDS
        if SCRIPT_OF[code] == script
    }
    ranked = sorted(scores.values(), reverse=True)
    if ranked[0] == 0 or ranked[0] == ranked[1]:
        return None
    return max(scores, key=lambda code: scores[code])


PARAMETERS = (
    DATA,
    Parameter("language", "str", "The wanted language's code.", required=True, choices=LANGUAGES),
    Parameter("prompt_key", "str", "Key of the prompt.", default="prompt"),
    TEMPLATE,
    *GENERATION_PARAMETERS,
    STRATIFY,
)


@evaluator("language_id", parameters=PARAMETERS)
class LanguageIdEvaluator(GenerationTask):
    """Share of answers in the wanted language, by a small offline detector.

    An answer that the token limit cuts is judged as far as it goes.

    Args:
        name: The evaluator's name in the run file.
        seed: The run's seed.
        options: Values of ``PARAMETERS``.

    Raises:
        EvaluationError: Data or settings don't fit.
    """

    metrics: Sequence[Metric] = (Metric("in_language", binary=True), TOKENS)
    primary = "in_language"

    def __init__(self, name: str, *, seed: int, **options: Any) -> None:
        settings = fill_settings("language_id", PARAMETERS, name, options)
        table = read_table(settings["data"])
        template = settings["template"] or "{" + settings["prompt_key"] + "}"
        items = [
            Item(render_template(template, table, index), settings["language"])
            for index in range(len(table.records))
        ]
        super().__init__(
            name,
            items,
            settings=settings,
            seed=seed,
            version="language_id/1",
            data_sha256=table.sha256,
            strata=table.strata(settings["stratify_key"]),
        )

    def grade(self, item: Item, answer: "Generated") -> dict[str, float]:
        """Return 1 for an answer in the wanted language."""
        return {"in_language": float(detect(answer.text) == item.expected)}
