"""The text that a tokenizer is trained on: a sample of the training documents, smoothed over the languages."""

import heapq
import itertools
from collections.abc import Sequence

from plmjax.data.languages import smoothed
from plmjax.data.progress import ProgressLine
from plmjax.data.sources.base import Source
from plmjax.data.sources.open import read_documents
from plmjax.data.store import shards

SMOOTHING = 0.5  # alpha of the languages' shares (Lample & Conneau 2019, Sec. 3.1)


def sample(sources: Sequence[Source], validation_fraction: float, characters: int, progress: bool = False) -> list[str]:
    """Paragraphs of a sample of the training documents, about `characters` long.

    The documents with the lowest hashes, so that every source is represented and the sample is the same each time.
    Where the sources name languages, the language i has the share q_i ~ p_i^SMOOTHING, its text repeated if need be.
    """
    held: dict[str, _Lowest] = {}
    line = ProgressLine("Sampling for the tokenizer", "documents", progress)
    total = sum(source.total for source in sources)
    for number, document in enumerate(read_documents(sources)):
        line.update(sum(source.done for source in sources) / max(total, 1), number)
        rank = shards.document_hash(document)
        if rank < validation_fraction:
            continue
        if len(document.languages) == 2:
            sides = list(zip(document.languages, ([side] for side in document.paragraphs), strict=True))
        else:
            sides = [(document.languages[0] if document.languages else "", document.paragraphs)]
        for language, paragraphs in sides:
            held.setdefault(language, _Lowest(characters)).add(rank, number, paragraphs)
    line.close()
    if "" in held or not held:
        return [paragraph for lowest in held.values() for paragraph in lowest.paragraphs()]
    return _smoothed_sample(held, characters)


def _smoothed_sample(held: "dict[str, _Lowest]", characters: int) -> list[str]:
    read = [lowest.read for lowest in held.values()]
    budgets = smoothed(read, SMOOTHING) * min(characters, sum(read))
    sample: list[str] = []
    for lowest, budget in zip(held.values(), budgets, strict=True):
        left = budget
        for paragraph in itertools.cycle(lowest.paragraphs()):
            if left <= 0:
                break
            left -= len(paragraph)
            sample.append(paragraph)
    return sample


class _Lowest:
    """The documents with the lowest hashes, as many as hold `characters`; `read`: characters of all that were added."""

    def __init__(self, characters: int):
        self._most = characters
        self._heap: list[tuple[float, int, list[str]]] = []  # the document with the highest hash on top
        self._held = 0
        self.read = 0

    def add(self, rank: float, number: int, paragraphs: list[str]) -> None:
        """Takes in a document with its hash, and lets go of what is too much."""
        length = sum(map(len, paragraphs))
        heapq.heappush(self._heap, (-rank, number, paragraphs))
        self._held += length
        self.read += length
        while self._held - (largest := sum(map(len, self._heap[0][2]))) >= self._most:
            heapq.heappop(self._heap)
            self._held -= largest

    def paragraphs(self) -> list[str]:
        """Those of the documents that are held, the lowest hash first."""
        return [paragraph for _, _, paragraphs in sorted(self._heap, reverse=True) for paragraph in paragraphs]
