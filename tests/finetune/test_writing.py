"""Tasks done by writing: rows, losses beside those of `transformers`, and what is written in evaluation."""

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from plmjax.data.tokenizers import Tokenizer
from plmjax.decode import GREEDY, Beams, continue_tokens
from plmjax.decode.rules import make_rules
from plmjax.finetune.features import Batch, Feature, make_batch
from plmjax.finetune.ways.writing import WritingWay
from plmjax.modules import Bound
from plmjax.tasks.labelled import Example
from tests.finetune.kit import recipe
from tests.finetune.text_kit import copying, torch_network, writing_way

NETWORKS = ("bart", "t5", "gpt2")
ROWS, LENGTH, IGNORED = 4, 16, -100
SOURCES = ("the film was good", "a very dull story", "it")
TARGETS = ("good film", "dull", None)


class Pair(NamedTuple):
    """A model of `transformers`, the same network, and a batch of the examples above with its losses."""

    name: str
    model: Any
    network: Bound
    way: WritingWay
    examples: list[Example]
    features: list[Feature]
    batch: Batch
    losses: Any


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request: Any, tokenizer: Tokenizer, tmp_path_factory: Any) -> Pair:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp(request.param)
    model, pretrained = torch_network(request.param, tokenizer, folder)
    way, network = writing_way(pretrained, copying(folder), recipe())
    examples = [
        Example(str(i), str(i), (source,), None if target is None else (target, "another"))
        for i, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True))
    ]
    way.prepare({"train": examples})
    features = way.features(examples, learn=False)
    batch = make_batch(features, ROWS, LENGTH, way.padding)
    forward = jax.jit(lambda params, batch: way.forward(Bound(network.module, params), batch, train=False))
    found = forward(network.params, batch)
    return Pair(request.param, model, network, way, examples, features, batch, found[0])


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


@pytest.mark.parametrize("beams", [1, 3])
def test_an_evaluation_writes_what_generation_does(pair: Pair, tokenizer: Tokenizer, beams: int) -> None:
    """Beside `continue_tokens`, which is tested beside `transformers`: row by row, and with no row that fills up."""
    given, v = recipe(), tokenizer.vocabulary
    given.writer.beams, given.writer.length_penalty, given.writer.max_new_tokens = beams, 0.5, 7
    given.writer.no_repeat_ngram, given.writer.min_new_tokens = 2, 3
    way = WritingWay(pair.way.task, pair.way.reader, pair.way.limits, given)
    features = way.features(pair.examples, learn=False)
    batch = make_batch(features, ROWS, LENGTH, way.padding)
    module = pair.network.module
    forward = jax.jit(lambda params, batch: way.forward(Bound(module, params), batch, train=False))
    _, _, found = jax.device_get(forward(pair.network.params, batch))
    starts = {"bart": v.eos, "t5": v.pad, "gpt2": v.eos}
    rules = make_rules(
        no_repeat_ngram_size=2,
        min_new_tokens=3,
        eos_token_id=v.eos,
        forced_bos_token_id=v.bos if pair.name == "bart" else None,
    )
    sampling = Beams(beams, 0.5) if beams > 1 else GREEDY
    for row, feature in enumerate(features):
        expected = continue_tokens(
            pair.network,
            feature.sequences["tokens"][None],
            max_new_tokens=7,
            sampling=sampling,
            eos=v.eos,
            pad=v.pad,
            start=starts[pair.name],
            forbidden=[token for token in np.flatnonzero(v.is_special) if token != v.eos],
            rules=rules,
            history_BH=np.array([[starts[pair.name]]]),
        )
        count = int(expected.lengths[0])
        assert int(found["written_count"][row]) == count
        assert found["written"][row][:count].tolist() == expected.tokens[0][:count].tolist()
    rows = [{name: value[row] for name, value in found.items()} for row in range(3)]
    texts = way.predictions(pair.examples, features, rows)
    assert texts[0] == tokenizer.decode(found["written"][0][: found["written_count"][0]].tolist()).strip()
    assert len(texts) == 3
