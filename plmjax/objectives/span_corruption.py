"""T5's denoising: spans of the text are replaced by sentinels, and predicted behind theirs (Raffel et al. 2019, Secs.
3.1.4, 3.3).

Text "a b c d e f" with noise on "b c" and "f": inputs `a <X> d e <Y> EOS`, targets `<X> b c <Y> f EOS`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.data.windows import Chunks
from plmjax.errors import UserError
from plmjax.noise import spans
from plmjax.objectives.base import Example
from plmjax.objectives.sequence_noise import SequenceLengths, SequenceNoise, SequenceObjective, SequencePair


def whole_chunks() -> Chunks:
    """Consecutive chunks of the corpus, each read as one text."""
    return Chunks(separator=False, isolate=False, overlap=0)


@dataclass(slots=True)
class SpanNoise(SequenceNoise):
    """Replaces spans by sentinels (T5's Sec. 3.3.4, and T5 1.1), or i.i.d. tokens (the baseline of T5's ablations).

    Noise of `spans` reads a raw text of such a length that the corrupted inputs fill `train.length` to the token
    (568 for 512), and has targets of one length (114). With `iid` noise the raw text is one token shorter than the
    inputs, which leaves room for EOS, and targets are cut or filled to `targets_length`.

    The final sentinel: targets close with a sentinel before EOS only if the text ends clean, as in the released code;
    under `spans` that never happens (unless rolled). Under `iid` a text that starts with noise opens the targets with a
    run that no sentinel announces, and the sentinels of the targets are one ahead of those of the inputs: also as
    released.
    """

    noise: str = "spans"  # "spans" or "iid"
    density: float = 0.15  # share of the raw tokens that are noise
    mean_span: float = 3.0  # tokens to a span, on average; spans only
    random_roll: bool = False  # turn the mask, so that noise may lie at the start; spans only
    targets_length: int | None = None  # room for the targets; None: from the counts, or `iid_targets_length`

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective") -> None:
        if self.noise not in ("spans", "iid"):
            raise UserError(f"{where}.noise is {self.noise!r}; it must be 'spans' or 'iid'.")
        if not 0 < self.density < 1 or self.mean_span < 1:
            raise UserError(
                f"{where}.density is {self.density} and {where}.mean_span {self.mean_span}; "
                "the first must lie between 0 and 1, the second be at least 1."
            )
        if length < 4:
            raise UserError(f"train.length is {length}, too short for span corruption; give at least 4.")
        vocabulary.require("pad", "eos")
        needed = self._sentinels_needed(length)
        if needed > len(vocabulary.sentinels):
            raise UserError(
                f"Span corruption at train.length={length} needs {needed} sentinels, but the vocabulary has "
                f"{len(vocabulary.sentinels)}; lower train.length or {where}.density, or train a tokenizer with more."
            )

    def _sentinels_needed(self, length: int) -> int:
        raw = self.lengths(length).raw
        if self.noise == "spans":
            return spans.span_counts(raw, self.density, self.mean_span)[1] + self.random_roll
        # The expected number of runs, and one to close; rarer, longer tails stay clean (`limit_runs`).
        return round(raw * self.density * (1 - self.density) + self.density) + 1

    def lengths(self, inputs_length: int) -> SequenceLengths:
        """The lengths for inputs of `inputs_length` tokens.

        At densities of .5 and more the inputs may come out one token shorter: no raw length fits to the token.
        """
        if self.noise == "iid":
            raw = inputs_length - 1
        else:  # a rolled mask may cut a run in two, which costs a sentinel more on either side
            raw = spans.span_lengths(inputs_length - self.random_roll, self.density, self.mean_span).raw
        return SequenceLengths(raw, *self._encoded(raw))

    def _encoded(self, raw: int) -> tuple[int, int]:
        """(inputs, targets) lengths for `raw` tokens of text."""
        if self.noise == "iid":
            return raw + 1, self.targets_length or spans.iid_targets_length(raw + 1, self.density)
        noise, count = spans.span_counts(raw, self.density, self.mean_span)
        sentinels = count + self.random_roll
        return raw - noise + sentinels + 1, self.targets_length or noise + sentinels + 1

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        raw_tokens = example["tokens"]
        raw = len(raw_tokens)
        real = jnp.sum(example["segments"] > 0)
        inputs_length, targets_length = self._encoded(raw)
        sentinels = jnp.asarray(vocabulary.sentinels, jnp.int32)
        if self.noise == "iid":
            mask = spans.limit_runs(spans.iid_mask(key, raw, self.density), len(vocabulary.sentinels) - 1)
        else:
            mask = spans.spans_mask(
                key, real, length=raw, density=self.density, mean_span=self.mean_span, random_roll=self.random_roll
            )
        inputs = spans.merge_runs(raw_tokens, mask, real, sentinels, eos=vocabulary.eos, length=inputs_length)
        targets = spans.merge_runs(raw_tokens, ~mask, real, sentinels, eos=vocabulary.eos, length=targets_length)
        return SequencePair(inputs, targets)


@dataclass(slots=True)
class SpanCorruption(SpanNoise, SequenceObjective):
    """Span corruption on chunks of the corpus, which may hold parts of several documents."""

    NAME: ClassVar[str] = "span_corruption"

    window: Any = field(default_factory=whole_chunks)
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch
