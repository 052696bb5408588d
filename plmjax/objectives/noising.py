"""BART's five noises and any mixture of them, with their settings (Lewis et al. 2019, Sec. 2.2).

token masking          Noising(permute=0, mask=.15, unit="token")
token deletion         Noising(permute=0, mask=.15, unit="token", replace_length=0)
text infilling         Noising(permute=0)
sentence permutation   Noising(mask=0)
document rotation      Noising(permute=0, mask=0, rotate=1)
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from plmjax.data.tokenizers.vocabulary import Vocabulary
from plmjax.errors import UserError
from plmjax.noise.infilling import PaddedText, draw_spans, hide_spans, insert_masks, poisson_shares, single_words
from plmjax.noise.order import rotation_order, sentence_order
from plmjax.noise.span_masking import span_budgets
from plmjax.objectives.base import Example, check_share
from plmjax.objectives.sequence_noise import SequenceLengths, SequenceNoise, SequencePair, text_of, wrap

UNITS = ("span", "word", "token")


@dataclass(slots=True)
class Noising(SequenceNoise):
    """The noises in the order in which the released code applies them. A share of 0 leaves one out.

    The defaults are those of the paper's large model: 30% of the words in infilled spans, all sentences permuted. The
    paper gives no share of tokens to mask or delete. Its released command has lambda 3.5 instead of 3 and replaces one
    mask in ten by a random token, of which the paper says nothing.
    """

    permute: float = 1.0  # share of the sentences that change places
    mask: float = 0.3  # share of the words that are hidden (unit "token": of the tokens)
    unit: str = "span"  # hidden at a time: a "span" of words of a length drawn from Poisson, a "word", a "token"
    poisson_lambda: float = 3.0  # mean length of a span, in words; those of length 0 insert a mask
    replace_length: int = 1  # in place of what is hidden: 1 mask, 0 for none, -1 for one for each of its tokens
    random_share: float = 0.0  # of the masks that are random tokens instead
    insert: float = 0.0  # masks put in, as a share of the tokens
    rotate: float = 0.0  # how likely the text is rotated

    @property
    def needs(self) -> tuple[str, ...]:
        return ("tokens", "segments", "sentence_starts")

    def check_noise(self, vocabulary: Vocabulary, length: int, where: str = "objective.noise") -> None:
        if length < 3:
            raise UserError(
                f"train.length is {length}, too short for a text between two special tokens; give 3 or more."
            )
        for name in ("permute", "mask", "random_share", "insert", "rotate"):
            check_share(f"{where}.{name}", getattr(self, name))
        if self.unit not in UNITS:
            raise UserError(f"{where}.unit is {self.unit!r}; it must be one of {', '.join(UNITS)}.")
        if self.replace_length not in (1, 0, -1):
            raise UserError(f"{where}.replace_length is {self.replace_length}; it must be 1, 0 or -1.")
        if not 0 < self.poisson_lambda <= 64:
            raise UserError(
                f"{where}.poisson_lambda is {self.poisson_lambda}; give a mean length above 0 and up to 64."
            )
        vocabulary.require("pad", "bos", "eos", "mask")
        if self.mask and self.unit != "token" and vocabulary.word_start is None:
            raise UserError(
                f"{where}.unit is {self.unit!r}, but the tokenizer can't tell where words begin: set it to "
                "'token' or take another tokenizer."
            )

    def lengths(self, inputs_length: int) -> SequenceLengths:
        return SequenceLengths(inputs_length - 2, inputs_length, inputs_length)

    def sequences(self, key: jax.Array, example: Example, vocabulary: Vocabulary) -> SequencePair:
        """`<s> noisy text </s>` and `<s> text </s>`; the decoder reads </s> first."""
        text = text_of(example)
        noisy = self(key, text, example["sentence_starts"] > 0, vocabulary)
        is_example = text.real > 0  # its tokens may all be deleted
        inputs, targets = (wrap(one, [vocabulary.bos], [vocabulary.eos], is_example) for one in (noisy, text))
        return SequencePair(inputs, targets, vocabulary.eos)

    def __call__(
        self, key: jax.Array, text: PaddedText, sentence_starts_L: jax.Array, vocabulary: Vocabulary
    ) -> PaddedText:
        """The noisy text, in the room L of the clean one.

        Args:
            text: without the tokens that open and close it; an eos inside it parts sentences, and is never hidden.
            sentence_starts_L: bool, where sentences begin.
        """
        order_key, mask_key, insert_key, rotate_key = jax.random.split(key, 4)
        starts_L = self._word_starts(text, vocabulary)
        if self.permute:
            order_L = sentence_order(order_key, sentence_starts_L, text.real, self.permute)
            text, starts_L = text._replace(tokens=text.tokens[order_L]), starts_L[order_L]
        if self.mask:
            text = self._hide(mask_key, text, starts_L, vocabulary)
        if self.insert:
            count = jnp.asarray(span_budgets(len(text.tokens), self.insert))[text.real]
            text = self._insert(insert_key, text, count, vocabulary)
        if self.rotate:
            chance_key, start_key = jax.random.split(rotate_key)
            order_L = rotation_order(start_key, text.real, len(text.tokens))
            rotated_L = text.tokens[order_L]
            turned = jax.random.bernoulli(chance_key, self.rotate)
            text = text._replace(tokens=jnp.where(turned, rotated_L, text.tokens))
        return text

    def _word_starts(self, text: PaddedText, vocabulary: Vocabulary) -> jax.Array:
        """bool: where words begin; the first token, and one after an eos, begins one in any case."""
        words_L = self._words(text, vocabulary)
        if self.unit == "token" or vocabulary.word_start is None:
            return words_L
        follows_L = jnp.concatenate([jnp.zeros(1, jnp.bool_), words_L[:-1]])
        return words_L & (jnp.asarray(vocabulary.word_start)[text.tokens] | ~follows_L)

    def _words(self, text: PaddedText, vocabulary: Vocabulary) -> jax.Array:
        """bool: what may be hidden."""
        return (jnp.arange(len(text.tokens)) < text.real) & (text.tokens != vocabulary.eos)

    def _hide(self, key: jax.Array, text: PaddedText, starts_L: jax.Array, vocabulary: Vocabulary) -> PaddedText:
        length_key, place_key, insert_key = jax.random.split(key, 3)
        budgets = span_budgets(len(text.tokens), self.mask)
        budget, max_spans = jnp.asarray(budgets)[jnp.sum(starts_L)], int(budgets[-1])
        if self.unit == "span":
            spans = draw_spans(length_key, budget, poisson_shares(self.poisson_lambda), max_spans)
        else:
            spans = single_words(budget, max_spans)
        text = hide_spans(
            place_key,
            text,
            self._words(text, vocabulary),
            starts_L,
            spans.lengths,
            mask=vocabulary.mask,
            non_special_R=vocabulary.non_special,
            replace_length=self.replace_length,
            random_share=self.random_share,
        )
        return self._insert(insert_key, text, spans.inserts, vocabulary) if self.unit == "span" else text

    def _insert(self, key: jax.Array, text: PaddedText, count: jax.Array, vocabulary: Vocabulary) -> PaddedText:
        return insert_masks(
            key,
            text,
            count,
            mask=vocabulary.mask,
            non_special_R=vocabulary.non_special,
            random_share=self.random_share,
        )
