"""--dump_examples for every objective."""

from pathlib import Path

import pytest

from plmjax.modules.bert import BertConfig
from plmjax.modules.t5 import T5Config
from plmjax.objectives import BertPretraining, CausalLM, SpanCorruption
from plmjax.train.examples import dump_examples
from tests.train.kit import tiny_config


@pytest.mark.parametrize(
    ("model", "objective", "expected"),
    [
        (None, CausalLM(), ["tokens (", "targets (", "weights: sum"]),
        (BertConfig(max_positions=32), BertPretraining(), ["<cls>", "<mask>", "@", "sentence_label: "]),
        (T5Config(num_layers=1), SpanCorruption(), ["decoder_tokens (", "<extra_id_0>"]),
    ],
    ids=["causal", "bert", "t5"],
)
def test_shows_inputs_targets_and_weights(
    tiny_store: Path, tmp_path: Path, model: object, objective: object, expected: list[str]
) -> None:
    changes = {"objective": objective, "train__length": 32} | ({"model": model} if model else {})
    text = dump_examples(tiny_config(tiny_store, **changes), tmp_path, 3)
    blocks = text.split("\n\n")
    assert len(blocks) == 3
    for word in expected:
        assert any(word in block for block in blocks), f"{word!r} is missing from\n{text}"
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_more_examples_than_a_batch(tiny_store: Path, tmp_path: Path) -> None:
    text = dump_examples(tiny_config(tiny_store, train__batch_size=2), tmp_path, 5)
    titles = [line for line in text.splitlines() if line.startswith("example")]
    assert [title.split("step ")[1] for title in titles] == ["1", "1", "2", "2", "3"]
    assert len({title.split(",")[0] for title in titles}) == 5
