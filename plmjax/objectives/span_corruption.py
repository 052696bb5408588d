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
from plmjax.objectives.base import Example, Losses, check_fit
from plmjax.objectives.sequences import SEQUENCE_KINDS, as_example, check_row, sequence_loss


def _chunks() -> Chunks:
    return Chunks(separator=False, isolate=False, overlap=0)


@dataclass(slots=True)
class SpanCorruption:
    """Span corruption with spans (T5's Sec. 3.3.4, and T5 1.1) or i.i.d. noise (the baseline of T5's ablations).

    Noise of `spans` reads a raw text of such a length that the corrupted inputs fill `train.length` to the token
    (568 for 512), and has targets of one length (114). With `iid` noise the raw text is one token shorter than the
    inputs, which leaves room for EOS, and targets are cut or filled to `targets_length`.

    The final sentinel: targets close with a sentinel before EOS only if the text ends clean, as in the released code;
    under `spans` that never happens (unless rolled). Under `iid` a text that starts with noise opens the targets with a
    run that no sentinel announces, and the sentinels of the targets are one ahead of those of the inputs: also as
    released.
    """

    kinds: ClassVar[tuple[str, ...]] = SEQUENCE_KINDS

    window: Any = field(default_factory=_chunks)
    noise: str = "spans"  # "spans" or "iid"
    density: float = 0.15  # share of the raw tokens that are noise
    mean_span: float = 3.0  # tokens to a span, on average; spans only
    random_roll: bool = False  # turn the mask, so that noise may lie at the start; spans only
    targets_length: int | None = None  # room for the targets; None: from the counts, or `iid_targets_length`
    z_loss: float = 1e-4  # factor of logsumexp(logits)**2, in training
    static: bool = False  # True: an example has the same noise in every epoch

    @property
    def heads(self) -> tuple[str, ...]:
        return ("token",)

    def lengths(self, inputs_length: int) -> spans.SpanLengths:
        """(raw tokens that the window reads, length of the targets) for inputs of `inputs_length`, EOS included.

        At densities of .5 and more the inputs may come out one token shorter: no raw length fits to the token.
        """
        if self.noise == "iid":
            raw = inputs_length - 1
        else:  # a rolled mask may cut a run in two, which costs a sentinel more on either side
            raw = spans.span_lengths(inputs_length - self.random_roll, self.density, self.mean_span).raw
        return spans.SpanLengths(raw, self._encoded(raw)[1])

    def check(self, network_config: Any, kind: str, vocabulary: Vocabulary, length: int) -> None:
        check_fit(self, network_config, kind, length, ("tokens", "segments"))
        if self.noise not in ("spans", "iid"):
            raise UserError(f"objective.noise is {self.noise!r}; it must be 'spans' or 'iid'.")
        if not 0 < self.density < 1 or self.mean_span < 1:
            raise UserError(
                f"objective.density is {self.density} and objective.mean_span {self.mean_span}; "
                "the first must lie between 0 and 1, the second be at least 1."
            )
        if length < 4:
            raise UserError(f"train.length is {length}, too short for span corruption; give at least 4.")
        if getattr(self.window, "isolate", False) or getattr(self.window, "overlap", 0):
            raise UserError(
                "Span corruption reads each chunk as one text; set objective.window.isolate to False and overlap to 0."
            )
        check_row(network_config, kind, length, self.lengths(length).targets)
        vocabulary.require("pad", "eos")
        needed = self._sentinels_needed(length)
        if needed > len(vocabulary.sentinels):
            raise UserError(
                f"Span corruption at train.length={length} needs {needed} sentinels, but the vocabulary has "
                f"{len(vocabulary.sentinels)}; lower train.length or objective.density, or train a tokenizer with more."
            )

    def _sentinels_needed(self, length: int) -> int:
        raw = self.lengths(length).raw
        if self.noise == "spans":
            return spans.span_counts(raw, self.density, self.mean_span)[1] + self.random_roll
        # The expected number of runs, and one to close; rarer, longer tails stay clean (`limit_runs`).
        return round(raw * self.density * (1 - self.density) + self.density) + 1

    def windows(self, split: Any, vocabulary: Vocabulary, length: int, seed: int) -> Any:
        return self.window.build(split, vocabulary, self.lengths(length).raw, seed)

    def corrupt(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> Example:
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
        kept = {name: value for name, value in example.items() if value.ndim == 0}  # raw fields are of another length
        return kept | as_example(inputs, targets, vocabulary.pad)

    def _encoded(self, raw: int) -> tuple[int, int]:
        """(inputs, targets) lengths for `raw` tokens of text."""
        if self.noise == "iid":
            return raw + 1, self.targets_length or spans.iid_targets_length(raw + 1, self.density)
        noise, count = spans.span_counts(raw, self.density, self.mean_span)
        sentinels = count + self.random_roll
        return raw - noise + sentinels + 1, self.targets_length or noise + sentinels + 1

    def losses(self, network: Any, batch: Example, vocabulary: Vocabulary, train: bool) -> Losses:
        return sequence_loss("span_corruption", network, batch, vocabulary, self.z_loss if train else 0.0)

    def coefficients(self) -> dict[str, float]:
        return {}
