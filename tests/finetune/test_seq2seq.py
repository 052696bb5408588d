"""Tasks done by writing: rows, losses beside those of `transformers`, and what is written in evaluation."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.decode import GREEDY, Beams, GenerationConfig
from plmjax.decode.generate_tokens import generate_tokens
from plmjax.decode.logits_processors import make_logits_processors
from plmjax.errors import UserError
from plmjax.finetune.features import Batch, Feature, make_batch
from plmjax.finetune.network import manifest_of
from plmjax.finetune.task_models.seq2seq import Seq2SeqModel
from plmjax.interop import Pretrained
from plmjax.interop.registry import architecture_of
from plmjax.modules import FAMILIES, Bound
from plmjax.tasks.supervised import Example
from tests.finetune.kit import checkpoint, recipe
from tests.finetune.text_kit import copying, seq2seq_model_of, torch_network

BEAMS = {"bart": 1, "t5": 3, "gpt2": 3}
ROWS, LENGTH, IGNORED = 4, 16, -100
SOURCES = ("the film was good", "a very dull story", "it")
TARGETS = ("good film", "dull", None)


class Pair(NamedTuple):
    """A model of `transformers`, the same network, and a batch of the examples above with what its evaluation gives."""

    name: str
    model: Any
    network: Bound
    task_model: Seq2SeqModel
    examples: list[Example]
    features: list[Feature]
    batch: Batch
    losses: Any
    outputs: Any


@pytest.fixture(scope="module", params=BEAMS)
def pair(request: Any, tokenizer: Tokenizer, tmp_path_factory: Any) -> Pair:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp(request.param)
    model, pretrained = torch_network(request.param, tokenizer, folder)
    given = recipe()
    beams = BEAMS[request.param]
    given.generation = GenerationConfig(
        num_beams=beams,
        length_penalty=0.5 if beams > 1 else 1.0,
        max_new_tokens=7,
        no_repeat_ngram_size=2,
        min_new_tokens=3,
    )
    given.seq2seq.label_smoothing, given.seq2seq.z_loss = 0.1, 0.1  # in training alone
    task_model, network = seq2seq_model_of(pretrained, copying(folder), given)
    examples = [
        Example(str(i), str(i), (source,), None if target is None else (target, "another"))
        for i, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True))
    ]
    task_model.prepare({"train": examples})
    features = task_model.features(examples, learn=False)
    batch = make_batch(features, ROWS, LENGTH, task_model.padding)
    forward = jax.jit(lambda params, batch: task_model.forward(Bound(network.module, params), batch, train=False))
    losses, _, outputs = jax.device_get(forward(network.params, batch))
    return Pair(request.param, model, network, task_model, examples, features, batch, losses, outputs)


def by_hand(name: str, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """The inputs of `transformers` for the examples that have a target."""
    v = tokenizer.vocabulary
    before = [v.bos] if name == "bart" else []
    rows = []
    for source, target in zip(SOURCES[:2], TARGETS[:2], strict=True):
        read = [*before, *tokenizer.encode(source), v.eos]
        learned = [*before, *tokenizer.encode(target), v.eos]
        rows.append((read + learned, [IGNORED] * len(read) + learned) if name == "gpt2" else (read, learned))
    longest = max(len(row) for pair in rows for row in pair)

    def filled(row: list[int], value: int) -> list[int]:
        return row + [value] * (longest - len(row))

    tokens = np.array([filled(read, v.pad) for read, _ in rows])
    mask = np.array([filled([1] * len(read), 0) for read, _ in rows])
    labels = np.array([filled(learned, IGNORED) for _, learned in rows])
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def test_the_loss_is_that_of_transformers(pair: Pair, tokenizer: Tokenizer) -> None:
    import torch

    inputs = by_hand(pair.name, tokenizer)
    with torch.no_grad():
        theirs = pair.model(**{key: torch.tensor(value) for key, value in inputs.items()})
    assert float(pair.losses["task"].mean()) == pytest.approx(float(theirs.loss), abs=1e-4)


def test_rows(pair: Pair, tokenizer: Tokenizer) -> None:
    v, batch = tokenizer.vocabulary, pair.batch
    before = [v.bos] if pair.name == "bart" else []
    assert pair.features[0].sequences["tokens"].tolist() == [*before, *tokenizer.encode(SOURCES[0]), v.eos]
    target = [*before, *tokenizer.encode("good film"), v.eos]  # of several the first
    assert batch["targets"][0].tolist() == target + [0] * (8 - len(target))
    assert batch["targets"].shape == (ROWS, 8)  # the longest target's places, to the next multiple of 8
    assert batch["target_count"].tolist()[2:] == [0, 0]
    assert float(pair.losses["task"].weight) == sum(batch["target_count"])


def test_an_evaluation_writes_what_generation_does(pair: Pair, tokenizer: Tokenizer) -> None:
    """Beside `generate_tokens`, which is tested beside `transformers`: row by row, and with no row that fills up."""
    v, beams, found = tokenizer.vocabulary, BEAMS[pair.name], pair.outputs
    starts = {"bart": v.eos, "t5": v.pad, "gpt2": v.eos}
    processors = make_logits_processors(
        no_repeat_ngram_size=2,
        min_new_tokens=3,
        eos_token_id=v.eos,
        forced_bos_token_id=v.bos if pair.name == "bart" else None,
    )
    sampling = Beams(beams, 0.5) if beams > 1 else GREEDY
    for row, feature in enumerate(pair.features):
        expected = generate_tokens(
            pair.network,
            feature.sequences["tokens"][None],
            max_new_tokens=7,
            sampling=sampling,
            eos=v.eos,
            pad=v.pad,
            start=starts[pair.name],
            forbidden=[token for token in np.flatnonzero(v.is_special) if token != v.eos],
            processors=processors,
            history_BH=np.array([[starts[pair.name]]]),
        )
        count = int(expected.lengths[0])
        assert int(found["written_count"][row]) == count
        assert found["written"][row][:count].tolist() == expected.tokens[0][:count].tolist()
    rows = [{name: value[row] for name, value in found.items()} for row in range(3)]
    texts = pair.task_model.predictions(pair.examples, pair.features, rows)
    assert texts[0] == tokenizer.decode(found["written"][0][: found["written_count"][0]].tolist()).strip()
    assert len(texts) == 3


def without_ends(tokenizer: Tokenizer) -> Tokenizer:
    """As GPT-1's: neither EOS nor a separator."""
    changed = copy.copy(tokenizer)
    changed.vocabulary = replace(tokenizer.vocabulary, eos=None, sep=None)
    return changed


def test_a_decoder_without_an_eos_gets_a_delimiter(tokenizer: Tokenizer, tmp_path: Path) -> None:
    start = checkpoint(without_ends(tokenizer), "gpt", "gpt1_tiny")
    task = copying(tmp_path)
    task_model, network = seq2seq_model_of(start, task)
    rows = start.config.vocab_size
    assert network.config.vocab_size == rows + 1
    (example,) = task.splits()["train"][:1]
    (feature,) = task_model.features([example], learn=True)
    assert feature.sequences["tokens"].tolist() == [*tokenizer.encode(example.texts[0]), rows]
    assert feature.values["targets"][feature.values["target_count"] - 1] == rows
    manifest = manifest_of(start, network.config, task_model.recipe, task_model, {})["huggingface"]
    assert manifest["extras"] == {"delimiter_token_id": rows, "new_tokens": {"delimiter": rows}}
    assert manifest["architecture"] == "OpenAIGPTLMHeadModel"


def test_targets_are_cut_or_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    start = torchless(tokenizer, "bart")
    task, v = copying(tmp_path), tokenizer.vocabulary
    long = Example("0", "f:1", ("good film",), ("good film plot and the",))
    given = recipe()
    given.seq2seq.max_target_length = 5
    task_model, _ = seq2seq_model_of(start, task, given)
    with pytest.raises(
        UserError, match="f:1 has a target of [0-9]+ tokens including the special ones, but there are 5"
    ):
        task_model.features([long], learn=True)
    given.truncation = True
    task_model, _ = seq2seq_model_of(start, task, given)
    (feature,) = task_model.features([long], learn=True)
    assert feature.values["targets"].tolist() == [v.bos, *tokenizer.encode(long.target[0])[:3], v.eos]
    assert task_model.cut_rows == 1
    gpt = torchless(tokenizer, "gpt")  # source and target share its 64 positions
    task_model, _ = seq2seq_model_of(gpt, task, given)
    words = Example("0", "f:1", (" ".join(["film"] * 80),), None)
    (feature,) = task_model.features([words], learn=False)
    assert feature.length == 64 - 5
    given.generation.max_new_tokens = 64
    with pytest.raises(
        UserError, match="Targets of 64 tokens do not fit into 64 positions: lower --config.seq2seq.max_target_length"
    ):
        seq2seq_model_of(gpt, task, given)[0].features([long], learn=True)


def test_what_does_not_write_is_refused(tokenizer: Tokenizer, encoder: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="A BertConfig, of kind 'encoder', generates no text: use a decoder"):
        seq2seq_model_of(encoder, copying(tmp_path))
    given = recipe()
    given.generation.num_beams = 0
    with pytest.raises(UserError, match="generation.num_beams is 0: give 1 or more"):
        seq2seq_model_of(torchless(tokenizer, "bart"), copying(tmp_path), given)
    given = recipe()
    given.seq2seq.label_smoothing = 1.0
    with pytest.raises(UserError, match="seq2seq.label_smoothing is 1.0"):
        seq2seq_model_of(torchless(tokenizer, "bart"), copying(tmp_path), given)


def torchless(tokenizer: Tokenizer, family: str) -> Pretrained:
    """A checkpoint of a network with its special ids; its parameters are not read."""
    config = replace(FAMILIES[family].variants["tiny"], vocab_size=tokenizer.vocabulary.size)
    start = Pretrained(config, {}, architecture_of(config), tokenizer)
    return replace(start, special=start.family.special_of(tokenizer))
