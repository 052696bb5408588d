"""Sequence to sequence: the target is learned token by token after the source, and generated in evaluation.

The loss is the mean over the targets' tokens, their end included. An encoder-decoder reads the source in its encoder. A
decoder reads source and target in one row and learns the target alone (Raffel et al. 2020, Sec. 3.2.1; Lewis et al.
2019, Sec. 4); one that sees its prefix whole sees the source so.

Legend: B batch, L length of the sources, T places of the targets, N most new tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from plmjax.data.buckets import MULTIPLE, round_up
from plmjax.decode.beam_search import Beams
from plmjax.decode.config import GenerationConfig
from plmjax.decode.generate_in_jit import generate_in_jit
from plmjax.decode.sampling import allowed_tokens
from plmjax.decode.sampling_loop import GenerationLimits
from plmjax.errors import UserError
from plmjax.finetune.backbones.text import Seq2SeqBackbone
from plmjax.finetune.features import Feature
from plmjax.finetune.seq2seq_config import check_seq2seq
from plmjax.finetune.task_models.base import ForwardOutput, RowOutput, TaskModel, too_long
from plmjax.interop.generation import LENGTHS
from plmjax.interop.source_templates import DELIMITER
from plmjax.losses.cross_entropy import TokenLoss, cross_entropy
from plmjax.losses.weighted import Weighted
from plmjax.modules import Bound
from plmjax.modules.facts import max_positions_of
from plmjax.objectives.sequences import states_in_one_row, states_in_two
from plmjax.tasks.supervised import Example, Split
from plmjax.tasks.text_metrics import PERPLEXITY


class Seq2SeqModel(TaskModel):
    """A text for a text. Subclasses say what is read and written where the task is of another kind."""

    heads: ClassVar[tuple[str, ...]] = ("token",)
    backbone: Seq2SeqBackbone

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.positions = max_positions_of(self.backbone.config)
        self._prepared = False
        check_seq2seq(self.recipe.seq2seq, self.recipe.generation, self.backbone.size)

    @property
    def padding(self) -> dict[str, int]:
        """The padding of the source; targets are padded to their number of places."""
        return {"tokens": self.backbone.reads.vocabulary.padding}

    @property
    def num_outputs(self) -> int:
        """0, as the token head has the vocabulary's."""
        return 0

    @property
    def description(self) -> str:
        beams, most = self.recipe.generation.num_beams, self.recipe.seq2seq.max_target_length
        how = f"with {beams} beams" if beams > 1 else "greedily"
        return f"{self.task.kind}, targets of up to {most} tokens, generated {how}"

    def source(self, example: Example) -> str:
        """The source text of an example."""
        return example.texts[0]

    def target(self, example: Example) -> str | None:
        """The target text of an example; None where it is not known."""
        return None if example.target is None else example.target[0]

    def read_off(self, example: Example, text: str) -> Any:
        """A prediction of the task's kind from a text that was written."""
        return text

    def prepare(self, splits: Split) -> None:
        """Gives all targets as many places as the longest needs, at most as many as the recipe says."""
        seq2seq, generation = self.recipe.seq2seq, self.recipe.generation
        targets = [text for found in splits.values() for one in found if (text := self.target(one)) is not None]
        longest = max(map(len, self._encoded(targets)), default=MULTIPLE)
        needed = self._places(longest)
        places = min(needed, seq2seq.max_target_length or needed)
        most = places if generation.max_new_tokens is None else generation.max_new_tokens
        self._prepared = True
        self._check_room(max(places, most))
        self.recipe = replace(
            self.recipe,
            seq2seq=replace(seq2seq, max_target_length=places),
            generation=replace(generation, max_new_tokens=most),
        )

    def features(self, examples: Sequence[Example], *, learn: bool) -> list[Feature]:
        if not self._prepared:
            self.prepare({"": list(examples)})
        sources = self.backbone.reads.encode_batch([self.source(example) for example in examples])
        known = [self.target(example) for example in examples]
        targets = self._encoded([text or "" for text in known])
        places = self.recipe.seq2seq.max_target_length
        features = []
        for number, (example, source, target) in enumerate(zip(examples, sources, targets, strict=True)):
            (text,) = self.fitted(example, [source])
            tokens = self.backbone.template.pack(text).tokens
            learned = [] if known[number] is None else self._cut(example, target)
            values = {
                "targets": np.array(learned + [0] * (places - len(learned)), np.int32),
                "target_count": np.int32(len(learned)),
            }
            sequences = {"tokens": tokens, "segments": np.ones_like(tokens)}
            features.append(Feature(number, len(tokens), sequences, values))
        return features

    def forward(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> ForwardOutput:
        loss, weights_BT = self._loss(network, batch, train)
        metrics = {"accuracy": Weighted.of(loss.correct, weights_BT)}
        return {"task": loss.total}, metrics, {} if train else self._written(network, batch)

    def predictions(
        self, examples: Sequence[Example], features: Sequence[Feature], outputs: Sequence[RowOutput]
    ) -> list[Any]:
        texts = [self.text(row) for row in outputs]
        return [self.read_off(example, text) for example, text in zip(examples, texts, strict=True)]

    def text(self, row: RowOutput) -> str:
        """The text generated for a row."""
        tokens = row["written"][: int(row["written_count"])].tolist()
        end = self.backbone.end
        kept = tokens[: tokens.index(end)] if end in tokens else tokens
        return self.backbone.tokenizer.decode(kept).strip()

    def measure(self, loss: float, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, float]:
        found = super().measure(loss, examples, predictions)
        if PERPLEXITY in self.task.metrics:
            found[PERPLEXITY] = math.exp(min(loss, 700.0))
        return found

    @property
    def extras(self) -> dict[str, Any]:
        """A decoder's has the delimiter, by which experiments.generate knows that it rewrites texts."""
        return super().extras | ({DELIMITER: self.backbone.start} if self.backbone.kind == "decoder" else {})

    def generation(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of evaluation."""
        found = {name: value for name, value in before.items() if name not in LENGTHS and name != "forced_eos_token_id"}
        given, usual = asdict(self.recipe.generation), asdict(GenerationConfig())
        always = ("max_new_tokens", "num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size")
        found |= {name: given[name] for name in usual if name in always or given[name] != usual[name]}
        if self.backbone.first is not None:
            found["forced_bos_token_id"] = self.backbone.first
        return found

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        return [self.backbone.framed_target(text) for text in self.backbone.tokenizer.encode_targets(texts)]

    def _places(self, longest: int) -> int:
        """The next multiple of 8, as far as there are positions; more where nothing is to be cut, which is refused."""
        rounded = round_up(longest)
        if not self.positions or rounded <= self.positions:
            return rounded
        return self.positions if self.limits.cut or longest <= self.positions else longest

    def _cut(self, example: Example, target: list[int]) -> list[int]:
        """A target in its places, what ends it kept."""
        places = self.recipe.seq2seq.max_target_length
        if len(target) <= places:
            return target
        if not self.limits.cut:
            raise UserError(
                f"{example.place} has a target of {len(target)} tokens including the special ones, but there are "
                f"{places} places: raise --config.seq2seq.max_target_length up to the network's positions, or set "
                "--config.truncation=True to cut it."
            )
        self.cut_rows += 1
        last = self.backbone.last
        return target[: places - len(last)] + list(last)

    def fitted(self, example: Example, texts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Fits a text as the base does; in a decoder's row the target needs its places too."""
        if self.backbone.kind == "decoder" and self.limits.length is not None:
            (text,) = texts
            added, generation = self.backbone.template.num_special_tokens(1), self.recipe.generation
            room = self.limits.length - added - max(self.recipe.seq2seq.max_target_length, generation.new_tokens)
            if len(text) <= room:
                return [list(text)]
            if not self.limits.cut:
                raise too_long(example, self.limits.length - room + len(text), self.limits.length)
            self.cut_rows += 1
            return [list(text[:room])]
        return super().fitted(example, texts)

    def _check_room(self, places: int) -> None:
        """UserError where the network can't write so many tokens."""
        needed = places + 1 if self.backbone.kind == "decoder" else places
        most = self.limits.length if self.backbone.kind == "decoder" else self.positions
        if most is not None and needed > most:
            raise UserError(
                f"Targets of {places} tokens do not fit into {most} positions: lower "
                "--config.seq2seq.max_target_length and --config.generation.max_new_tokens, and set "
                "--config.truncation=True where targets are longer."
            )

    def _loss(self, network: Bound, batch: dict[str, jax.Array], train: bool) -> tuple[TokenLoss, jax.Array]:
        """The loss of the targets' tokens, and their weights [B, T]."""
        seq2seq, targets_BT = self.recipe.seq2seq, batch["targets"]
        is_real_BT = jnp.arange(targets_BT.shape[1])[None] < batch["target_count"][:, None]
        start_B1 = jnp.full((targets_BT.shape[0], 1), self.backbone.start, jnp.int32)
        rows = {
            "tokens": batch["tokens"],
            "positions": None,
            "segments": batch["segments"],
            "targets": targets_BT,
            "decoder_tokens": jnp.concatenate([start_B1, targets_BT[:, :-1]], axis=1),
            "decoder_segments": is_real_BT.astype(jnp.int32),
        }
        if self.backbone.kind == "decoder":
            places = batch["tokens"].shape[1] + targets_BT.shape[1]
            x_BTD = states_in_one_row(network, rows, min(places, self.positions) if self.positions else places)
        else:
            x_BTD = states_in_two(network, rows)
        head, weights_BT = network.token_head(x_BTD), is_real_BT.astype(jnp.float32)
        regularised = {"label_smoothing": seq2seq.label_smoothing, "z_loss": seq2seq.z_loss}
        extra: dict[str, Any] = regularised if train else {}
        size = self.backbone.size
        return cross_entropy(head.h, head.table, head.bias, targets_BT, weights_BT, size=size, **extra), weights_BT

    def _written(self, network: Bound, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """`written` int32 [B, N] and `written_count` int32 [B]. Rows that only fill up repeat the first."""
        generation, backbone = self.recipe.generation, self.backbone
        is_real_B1 = batch["row_weights"][:, None] > 0
        tokens_BL, segments_BL = (
            jnp.where(is_real_B1, batch[name], batch[name][:1]) for name in ("tokens", "segments")
        )
        vocabulary = backbone.tokenizer.vocabulary
        size = backbone.size
        forbidden = [*np.flatnonzero(vocabulary.is_special[:size]), *range(vocabulary.size, size)]
        allowed_V = allowed_tokens(size, size, [token for token in forbidden if token != backbone.end])
        limits = GenerationLimits(generation.new_tokens, backbone.end, vocabulary.padding, allowed_V)
        strategy = generation.strategy()
        config = replace(generation, eos_token_id=backbone.end, forced_bos_token_id=backbone.first)
        found = generate_in_jit(
            network,
            tokens_BL,
            segments_BL,
            backbone.start,
            limits,
            generation.new_tokens,
            strategy if isinstance(strategy, Beams) else None,
            config.logits_processors(),
        )
        return {"written": found.tokens, "written_count": found.lengths}
