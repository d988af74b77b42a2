"""Texts that are the same or nearly: samples that copy each other, and samples that copy a benchmark's prompts (contamination).

Texts are compared as sets of words, so that another order of the words hides nothing. MinHash proposes pairs that share many words
(Broder 1997), so that few of all pairs are looked at; an exact similarity decides.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from datasketch import MinHash, MinHashLSH

from demur.plugins import load_module, load_plugin, names
from demur.tables import hub_is_reachable
from demur.types import Prompt, Sample, UserError

How = Literal["exact", "near"]

# Of benchmark prompts with a fifth of their words changed, over 99% are at least this similar to the original. Of the 2,483 requests of a
# safety-tuning set none is to any benchmark prompt (the nearest: 0.65), of 25,059 Alpaca instructions one. Chosen on every other prompt.
NEAR = 0.72
UNREACHABLE = "the Hugging Face Hub cannot be reached; give --suites FOLDER, or set HF_HUB_OFFLINE=1 to use what was downloaded before"
# A pair of Jaccard similarity j is proposed with probability 1 - (1 - j^ROWS)^BANDS: 0.995 at 0.5, below 0.3 at 0.2.
BANDS, ROWS = 42, 3

APOSTROPHES = re.compile("['\u2018\u2019\u02bc`\u00b4]")
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Overlap:
    """The sample with the id `sample` copies the benchmark prompt with the id `prompt`. `exact`: they are equal after normalisation."""

    sample: str
    prompt: str
    suite: str
    how: How
    similarity: float


@dataclass(frozen=True)
class Duplicate:
    """The text number `row` copies an earlier one. Rows with one `first` are one group: `first` is its first text, which copies none, and
    `similarity` the similarity to it. `exact`: the text equals an earlier one of the group after normalisation."""

    row: int
    first: int
    how: How
    similarity: float


@dataclass(frozen=True)
class Text:
    """A text ready to be compared; `weight` is the sum of its words' weights."""

    normalised: str
    words: frozenset[str]
    weight: float
    sketch: MinHash


def normalise(text: str) -> str:
    """The words of a text with one space between them, without case, punctuation and typographic variants (Unicode NFKC)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(WORD.findall(APOSTROPHES.sub("", folded)))


def prepare(texts: Iterable[str]) -> tuple[list[Text], dict[str, float]]:
    """The texts ready to be compared with each other, and the weights of their words."""
    normalised = [normalise(text) for text in texts]
    words = [frozenset(text.split()) for text in normalised]
    weights = word_weights(words)
    sketches = MinHash.bulk([[word.encode() for word in each] for each in words], num_perm=BANDS * ROWS)
    return list(map(Text, normalised, words, [total(each, weights) for each in words], sketches)), weights


def word_weights(texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much each word counts: the square root of its inverse document frequency, ln(1 + texts / texts with the word).

    The root keeps stop words cheap and lets no single rare word decide, for an edit may hit the rarest one.
    """
    frequency = Counter(word for words in texts for word in words)
    return {word: math.sqrt(math.log1p(len(texts) / count)) for word, count in frequency.items()}


def total(words: frozenset[str], weights: Mapping[str, float]) -> float:
    # The order of a set changes from run to run; fsum gives the same sum in any order.
    return math.fsum(map(weights.__getitem__, words))


def similarity(a: Text, b: Text, weights: Mapping[str, float]) -> float:
    """Weighted Dice coefficient 2 w(a and b) / (w(a) + w(b)), in 0..1; 0 where either has no word."""
    return 2 * total(a.words & b.words, weights) / (a.weight + b.weight) if a.words and b.words else 0.0


def empty_index() -> MinHashLSH:
    return MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))


def contamination(samples: Sequence[Sample], prompts: Sequence[Prompt], near: float = NEAR) -> list[Overlap]:
    """For every sample, and every suite that has a prompt which it copies, the most similar prompt; in the order of the samples.

    A prompt inside a much longer request is not found.
    """
    texts, weights = prepare([prompt.text for prompt in prompts] + [sample.prompt for sample in samples])
    index = empty_index()
    found: list[Overlap] = []
    for position, text in enumerate(texts[: len(prompts)]):
        index.insert(position, text.sketch)
    for sample, text in zip(samples, texts[len(prompts) :], strict=True):
        best: dict[str, Overlap] = {}
        for position in sorted(index.query(text.sketch)):
            prompt, value = prompts[position], similarity(text, texts[position], weights)
            how: How = "exact" if text.normalised == texts[position].normalised else "near"
            other = best.get(prompt.suite)
            if value >= near and (other is None or (how == "exact", value) > (other.how == "exact", other.similarity)):
                best[prompt.suite] = Overlap(sample.id, prompt.id, prompt.suite, how, value)
        found += best.values()
    return found


def duplicates(texts: Sequence[str], near: float = NEAR) -> list[Duplicate]:
    """Every text that copies an earlier one, exactly or nearly; rows count from 0."""
    prepared, weights = prepare(texts)
    index = empty_index()
    found: list[Duplicate] = []
    groups: dict[str, tuple[int, float]] = {}  # a normalised text: the first of its group, and how similar it is to that
    for row, text in enumerate(prepared):
        how: How = "exact" if text.normalised in groups else "near"
        if how == "near":
            candidates = [(similarity(text, prepared[other], weights), -other) for other in index.query(text.sketch)]
            value, other = max(candidates, default=(0.0, 0))
            if value < near:
                index.insert(row, text.sketch)
            groups[text.normalised] = (-other, value) if value >= near else (row, 1.0)
        first, value = groups[text.normalised]
        if first != row and text.words:
            found.append(Duplicate(row, first, how, value))
    return found


def known_suites(folder: str) -> tuple[list[Prompt], dict[str, str]]:
    """The prompts of every public suite that demur knows, and of its own, and the suites that could not be had with the reason for each.

    `folder` holds their files somewhere ("": they come from the Hugging Face Hub, where that answers). Raises UserError where there is no
    such folder.
    """
    if folder and not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; give one that holds the suites' files")
    prompts: list[Prompt] = load_plugin("suites", "demur-mini").call()
    if not folder and not hub_is_reachable():
        return prompts, dict.fromkeys(public_suites(), UNREACHABLE)
    missing = {}
    for name in public_suites():
        try:
            prompts += list(load_plugin("suites", {"name": name, "data": folder}).call())
        except UserError as error:
            missing[name] = str(error)
    return prompts, missing


def public_suites() -> list[str]:
    """The suites that come from upstream or from a local copy of it: those with the option `data`."""
    return [name for name in names("suites") if "data" in {field.name for field in fields(load_module("suites", name).Config)}]
