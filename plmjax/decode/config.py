"""GenerationConfig: the settings of generation, for flags, Python, fine-tuning and evaluation alike."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast

from plmjax.decode.beam_search import Beams
from plmjax.decode.logits_processors import LogitsProcessor, make_logits_processors
from plmjax.decode.sampling import GREEDY, SampleAndRank, Sampling
from plmjax.errors import UserError

DEFAULT_NEW_TOKENS = 20  # of transformers

Strategy = Sampling | SampleAndRank | Beams


@dataclass(slots=True)
class GenerationConfig:
    """The settings under the names and with the meaning of `transformers`, which has no `best_of` and no `seed`."""

    max_new_tokens: int | None = None  # the most new tokens of a text; None: 20
    min_new_tokens: int = 0  # the fewest
    do_sample: bool = False  # sample; False: take the likeliest token (greedy), or search
    temperature: float = 1.0  # of sampling: divides the logits
    top_k: int | None = None  # sample among the k likeliest tokens; None or 0: all
    top_p: float | None = None  # sample among the smallest set of tokens whose mass reaches p; None: all
    best_of: int = 1  # sample so many candidates and keep the likeliest (Adiwardana et al. 2020, Sec. 2.4)
    num_beams: int = 1  # above 1: beam search
    length_penalty: float = 1.0  # of beam search: scores are log probabilities over length ** length_penalty
    early_stopping: object = False  # of beam search: True, False or "never"; see Beams
    num_return_sequences: int = 1  # texts for each prompt
    repetition_penalty: float = 1.0  # divides the scores of tokens that are there already (CTRL: 1.2)
    no_repeat_ngram_size: int = 0  # n-grams of this size never repeat; 0: they may
    seed: int = 0  # the same seed samples the same texts
    eos_token_id: int | None = None  # ends a text
    pad_token_id: int | None = None  # fills a row after its end; None: the EOS, or 0 without one
    decoder_start_token_id: int | None = None  # an encoder-decoder's first token; None: the padding id
    forced_bos_token_id: int | None = None  # an encoder-decoder's second token
    forced_eos_token_id: int | None = None  # the last token of a text that reaches max_new_tokens
    bad_words_ids: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that are never generated
    suppress_tokens: tuple[int, ...] = ()  # tokens that are never generated
    begin_suppress_tokens: tuple[int, ...] = ()  # tokens that are never generated first

    def with_settings(self, **settings: Any) -> Self:
        """A copy with other settings; UserError for a setting that there is not."""
        known = {field.name for field in fields(self)}
        if unknown := sorted(settings.keys() - known):
            raise UserError(f"Generation has no setting {unknown[0]!r}: it has {', '.join(sorted(known))}.")
        return replace(self, **settings)

    @property
    def new_tokens(self) -> int:
        """The most new tokens."""
        return DEFAULT_NEW_TOKENS if self.max_new_tokens is None else self.max_new_tokens

    def strategy(self) -> Strategy:
        """The decoding strategy: greedy, sampling, sampling and ranking, or beam search.

        Raises:
            UserError: a number out of its range, settings of one strategy beside another, or fewer different texts than
                `num_return_sequences`.
        """
        if self.num_beams < 1:
            raise UserError(f"num_beams is {self.num_beams}: give 1 (no beam search) or more.")
        if self.num_beams > 1 and self.do_sample:
            raise UserError(
                f"A search with {self.num_beams} beams samples nothing: leave out do_sample (temperature) or num_beams."
            )
        if self.num_beams > 1 and self.best_of > 1:
            raise UserError(
                f"best_of {self.best_of} ranks samples and {self.num_beams} beams are a search: leave one of them out."
            )
        if self.num_beams == 1 and (self.length_penalty != 1.0 or self.early_stopping is not False):
            raise UserError("length_penalty and early_stopping belong to a beam search: set num_beams to 2 or more.")
        if self.best_of > 1 and not self.do_sample:
            raise UserError(f"best_of {self.best_of} needs different candidates: set do_sample (temperature above 0).")
        try:
            found = self._strategy()
            check_sequences(found, self.num_return_sequences)
        except ValueError as error:
            raise UserError(str(error)) from error
        return found

    def _strategy(self) -> Strategy:
        if self.num_beams > 1:
            # An `object` above, as config flags take no union.
            return Beams(self.num_beams, self.length_penalty, cast(bool | str, self.early_stopping))
        sampling = Sampling(self.temperature, self.top_k or None, self.top_p) if self.do_sample else GREEDY
        return sampling if self.best_of == 1 else SampleAndRank(sampling, self.best_of)

    def logits_processors(self) -> tuple[LogitsProcessor, ...]:
        """The processors of these settings, in the order of `transformers`; UserError for a number out of its range."""
        names = (
            "repetition_penalty", "no_repeat_ngram_size", "min_new_tokens", "forced_bos_token_id",
            "forced_eos_token_id", "eos_token_id", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens",
        )  # fmt: skip
        try:
            return make_logits_processors(**{name: getattr(self, name) for name in names})
        except ValueError as error:
            raise UserError(str(error)) from error


def check_sequences(strategy: Strategy, count: int) -> None:
    """Raises a ValueError where there are not so many different texts."""
    if count < 1:
        raise ValueError(f"num_return_sequences is {count}: give 1 or more.")
    if isinstance(strategy, Beams) and count > strategy.count:
        raise ValueError(
            f"num_return_sequences is {count}, but a search with {strategy.count} beams finds {strategy.count}."
        )
    if isinstance(strategy, SampleAndRank) and count > strategy.candidates:
        raise ValueError(
            f"num_return_sequences is {count}, but the best are taken of {strategy.candidates} candidates."
        )
    if isinstance(strategy, Sampling) and strategy.temperature == 0 and count > 1:
        raise ValueError(
            f"Greedy decoding gives one text, not {count}: sample (temperature above 0, do_sample) or set num_beams."
        )
