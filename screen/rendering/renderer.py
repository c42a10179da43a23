"""Samples to token sequences with the scored tokens marked (METHOD.md section 3). Pure: equal in, equal out.

Knows nothing of the model's weights, of files or of scores; needs no torch.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from screen.data.sample import Place, Sample, Skip, Turn
from screen.errors import ModelError
from screen.rendering.document import DocumentDraft
from screen.rendering.drafts import Draft, Setup, TextDraft
from screen.rendering.given import GivenDraft
from screen.rendering.ladder.masks import Masked, Masker, MaskRefused, Region, Stopped
from screen.rendering.pieces import PiecesDraft
from screen.rendering.rendered import Rendered, RenderingFacts
from screen.rendering.spans import Encoding
from screen.rendering.templates.chat_template import PASS_ANOTHER, Template
from screen.rendering.templates.language import PINNED_DATE
from screen.rendering.tokenizer import BATCH_CHARS, Tokenizer


class Renderer:
    """Renders batches of samples for one model.

    `context` is the longest sequence, in tokens, that the model takes. `end_of_turn` counts the one token that ends
    each scored turn as answer. Documents are scored in windows of `document_window` tokens after
    `document_prompt` tokens of context.

    Text that looks like a special token inside a message is tokenised as the trainer would tokenise it, usually to
    that special token; it is counted (`Rendered.special_text`) and never starts or ends a scored turn.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Template,
        *,
        context: int,
        end_of_turn: bool = False,
        document_window: int = 512,
        document_prompt: int = 64,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self._setup = Setup(tokenizer, context, end_of_turn, document_window, document_prompt)
        self._masker = Masker(template, tokenizer)
        self._special = _Counter(tokenizer.special_strings | template.control_strings)

    def render(self, samples: Sequence[Sample]) -> list[Rendered | Skip]:
        """One `Rendered` or `Skip` a sample, in order; all texts go to the tokenizer in one call."""
        with _no_collection():
            return self._rendered(samples)

    def _rendered(self, samples: Sequence[Sample]) -> list[Rendered | Skip]:
        drafts = self._drafts(samples)
        made: list[Rendered | Skip] = []
        for part in _parts(list(zip(samples, drafts, strict=True))):
            texts = [text for _, draft in part if not isinstance(draft, Skip) for text in draft.texts]
            encodings = iter(self._encode(texts))
            for sample, draft in part:
                if isinstance(draft, Skip):
                    made.append(draft)
                    continue
                own = [next(encodings) for _ in draft.texts]
                made.append(_finished(sample, draft, own))
        return made

    def show(self, sample: Sample) -> list[tuple[str, bool]]:
        """The whole rendered text cut where scored tokens begin and end: (text, scored) pieces.

        Empty for a sample that cannot be rendered: `render` says why.
        """
        (draft,) = self._drafts([sample])
        if isinstance(draft, Skip):
            return []
        encodings = self._encode(draft.texts)
        whole = [encoding for encoding in encodings if encoding is not None]
        return [] if len(whole) < len(encodings) else draft.show(whole)

    def facts(self) -> RenderingFacts:
        """How this renderer renders, for scan.json."""
        setup = self._setup
        return {
            "template": self.template.name,
            "template_sha256": self.template.sha256,
            "rung": self._probe(),
            "date_in_template": PINNED_DATE,
            "end_of_turn": setup.end_of_turn,
            "context": setup.context,
            "document_window": setup.document_window,
            "document_prompt": setup.document_prompt,
            "prefix_ids": list(self.tokenizer.prefix_ids),
        }

    def _probe(self) -> str | None:
        """The rung that an ordinary two-message chat stands on; None where the template refuses it."""
        place = Place(0, "-", 1, 0, 0, "")
        turns = (Turn("user", "Hello?"), Turn("assistant", "Hello.", scored=True))
        try:
            return self._masker.mask(Sample(place, "chat", "chat", turns)).rung
        except Stopped as stopped:  # whatever the rows say
            raise ModelError(f"{self.template.where} cannot be used: {stopped.cap}", PASS_ANOTHER) from None
        except MaskRefused:
            return None

    def _drafts(self, samples: Sequence[Sample]) -> list[Draft | Skip]:
        chats = [sample for sample in samples if sample.layout == "chat"]
        masked = iter(self._masker.mask_all(chats))
        return [self._draft(sample, masked) for sample in samples]

    def _draft(self, sample: Sample, chats: Iterator[Masked | MaskRefused]) -> Draft | Skip:
        bos = self.tokenizer.prefix_ids
        if sample.layout == "tokens":
            return GivenDraft(self._setup, sample)
        special = self._special(sample)
        if sample.layout == "document":
            return DocumentDraft(self._setup, sample, bos, special)
        if sample.layout in ("plain", "pieces"):
            draft = TextDraft if sample.layout == "plain" else PiecesDraft
            return draft(self._setup, sample, _segments(sample), bos if sample.bos else (), special)
        masked = next(chats)
        if isinstance(masked, MaskRefused):
            return _skip(sample, masked)
        return TextDraft(self._setup, sample, masked, bos if self.template.adds_prefix else (), special)

    def _encode(self, texts: list[str]) -> Sequence[Encoding | None]:
        """An encoding a text; None for a text that is not Unicode (a lone surrogate), which fails a whole batch."""
        try:
            return self.tokenizer.encode(texts)
        except (UnicodeEncodeError, TypeError):
            return [self._encode_one(text) for text in texts]

    def _encode_one(self, text: str) -> Encoding | None:
        try:
            return self.tokenizer.encode([text])[0]
        except (UnicodeEncodeError, TypeError):
            return None


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: a batch makes many objects and no cycles, and looking for some cost 15 %."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _parts(drafts: list[tuple[Sample, Draft | Skip]]) -> Iterator[list[tuple[Sample, Draft | Skip]]]:
    """As many as the tokenizer takes in one call: what it makes of a text has up to 150 times its size."""
    begin, size = 0, 0
    for end, (_, draft) in enumerate(drafts):
        own = 0 if isinstance(draft, Skip) else sum(map(len, draft.texts))
        if begin < end and size + own > BATCH_CHARS:
            yield drafts[begin:end]
            begin, size = end, 0
        size += own
    yield drafts[begin:]


def _finished(sample: Sample, draft: Draft, encodings: Sequence[Encoding | None]) -> Rendered | Skip:
    whole = [encoding for encoding in encodings if encoding is not None]
    try:
        if len(whole) < len(encodings):
            raise MaskRefused("bad_text", "the text holds half of a surrogate pair, which no tokenizer can read")
        return draft.finish(whole)
    except MaskRefused as refused:
        return _skip(sample, refused)


def _skip(sample: Sample, refused: MaskRefused) -> Skip:
    return Skip(sample.place, "render", refused.code, refused.message)


def _segments(sample: Sample) -> Masked:
    """Turns as raw text, end to end."""
    regions = []
    at = 0
    for number, turn in enumerate(sample.turns):
        end = at + len(turn.content)
        if turn.scored and turn.content:
            parts = ((0, len(turn.content)),) if turn.spans is None else turn.spans
            regions.append(Region(number, at, end, tuple((at + a, at + b) for a, b in parts)))
        at = end
    return Masked("".join(turn.content for turn in sample.turns), tuple(regions), "sentinel")


class _Counter:
    """Counts special-token text in the messages of a sample."""

    def __init__(self, strings: frozenset[str]) -> None:
        ordered = sorted(strings, key=lambda text: (-len(text), text))
        self._pattern = re.compile("|".join(map(re.escape, ordered)) or "(?!)")
        self._first = tuple(sorted({text[0] for text in strings}))

    def __call__(self, sample: Sample) -> int:
        return sum(
            sum(1 for _ in self._pattern.finditer(text))
            for turn in sample.turns
            for text in (turn.content, turn.reasoning or "")
            if any(first in text for first in self._first)  # a fifth of the time of looking for all of them
        )
