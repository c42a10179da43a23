"""The words of the corpus that the package's judge goes by: read off the texts and 6,000 chats."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Final

from research.pocket.corpus.chats import Split, chats
from research.pocket.corpus.grammar import TEXTS
from screen.pocket.judge import WORDS_FILE, CorpusWords, reduced

_CHATS: Final = 3000  # of each split
_SPLITS: Final[tuple[Split, ...]] = ("train", "heldout")


def words_of_corpus() -> CorpusWords:
    """Names and words of the texts, and the pairs of words in generated answers."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(TEXTS.rglob("*.txt")) if path.stem != "inventions"]
    names = frozenset(word for text in texts for word in re.findall(r"\b[A-Z][a-z]{2,}", text))
    common = frozenset(word.lower() for text in texts for word in re.findall(r"[A-Za-z']+", text))
    pairs: set[tuple[str, str]] = set()
    for split in _SPLITS:
        for chat in chats(_CHATS, 1, split):
            for message in chat.messages:
                if message["role"] == "assistant":
                    pairs.update(pairwise(reduced(message["content"], names, common)))
    return CorpusWords(names, common, frozenset(pairs))


def write_words(path: Path = WORDS_FILE) -> None:
    """Write them where the judge reads them."""
    path.write_text(words_json(words_of_corpus()), encoding="utf-8")


def words_json(words: CorpusWords) -> str:
    """`pairs` as a list of words after each word; every list as one text, in order."""
    follow: dict[str, list[str]] = {}
    for word, after in sorted(words.pairs):
        follow.setdefault(word, []).append(after)
    stored = {
        "names": " ".join(sorted(words.names)),
        "common": " ".join(sorted(words.common)),
        "pairs": {word: " ".join(after) for word, after in follow.items()},
    }
    return json.dumps(stored, indent=1) + "\n"
