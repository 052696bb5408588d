"""Encoder-decoders under heads: what is read, where, and the same loss and logits as `transformers` on PyTorch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.errors import UserError
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.backbones.encoder_decoder import EncoderDecoderBackbone
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import Batch, make_batch
from plmjax.finetune.loop import finetune
from plmjax.finetune.network import limits_of, network_config
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.finetune.task_models import make_task_model
from plmjax.interop import Pretrained, load_huggingface
from plmjax.interop.registry import BY_CLASS, architecture_of
from plmjax.interop.templates import language_token
from plmjax.modules import FAMILIES, Bound, build
from plmjax.tasks.tagging import TokenClassificationTask
from tests.finetune.kit import checkpoint, recipe, tokenizer_in
from tests.finetune.test_loop import make_task
from tests.finetune.test_task_models import tasks
from tests.interop import reference
from tests.interop.case import Case

A, B = [101, 102], [103]
BART = {
    "vocab_size": 300, "max_position_embeddings": 40, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
}  # fmt: skip
T5 = {"vocab_size": 300, "d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 3}


def shapeless(tokenizer: Tokenizer, family: str) -> Pretrained:
    """A checkpoint without parameters."""
    config = replace(FAMILIES[family].variants["tiny"], vocab_size=300)
    architecture = architecture_of(config)
    return Pretrained(config, {}, architecture, tokenizer, BY_CLASS[architecture].special_of(tokenizer))


def joined(pretrained: Pretrained, *texts: list[int]) -> tuple[list[int], int]:
    found = make_backbone(pretrained, recipe()).template.pack(*texts)
    return found.tokens.tolist(), found.class_index


def test_frames(tokenizer: Tokenizer) -> None:
    v = tokenizer.vocabulary
    bart = shapeless(tokenizer, "bart")
    assert joined(bart, A) == ([v.bos, *A, v.eos], 3)
    assert joined(bart, A, B) == ([v.bos, *A, v.eos, v.eos, *B, v.eos], 6)
    for family in ("t5", "marian"):
        assert joined(shapeless(tokenizer, family), A, B) == ([*A, v.eos, *B, v.eos], 4)
    starts = [make_backbone(shapeless(tokenizer, family), recipe()).start for family in ("bart", "t5")]  # type: ignore[attr-defined]
    assert starts == [v.eos, v.padding]


@pytest.fixture(scope="module")
def of_languages(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(str(tmp_path_factory.mktemp("tokenizer")), ("en", "de"))


def in_language(language: str) -> FineTune:
    return replace(recipe(), seq2seq=Seq2SeqConfig(source_language=language))


def test_the_frame_of_a_language(of_languages: Tokenizer) -> None:
    mbart, v = shapeless(of_languages, "mbart"), of_languages.vocabulary
    english, german = language_token(of_languages, "en"), language_token(of_languages, "de")
    backbone: Any = make_backbone(mbart, in_language("de"))
    assert backbone.start == german != english
    assert backbone.template.pack(A).tokens.tolist() == [*A, v.eos, german]
    framed = backbone.template.pack(*[A, B])
    assert (framed.tokens.tolist(), framed.class_index) == ([*A, v.eos, *B, v.eos, german], 4)
    assert backbone.template.num_special_tokens(2) == 3
    with pytest.raises(UserError, match="needs the language of its texts: give --config.seq2seq.source_language"):
        make_backbone(mbart, recipe())
    with pytest.raises(UserError, match="no token of the language 'fr'"):
        make_backbone(mbart, in_language("fr"))


def test_networks_that_have_no_heads_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="has no heads to fine-tune: use another network, or a task of writing"):
        make_backbone(shapeless(tokenizer, "t5_shared"), recipe())
    with pytest.raises(UserError, match="does not say its decoder_start_token_id"):
        make_backbone(replace(shapeless(tokenizer, "bart"), special={"bos_token_id": 1, "eos_token_id": 2}), recipe())


class Pair:
    """One model on both sides, and a batch of a task for each."""

    def __init__(self, architecture: str, config: dict[str, Any], kind: str, tokenizer: Tokenizer, folder: Path):
        v, task = tokenizer.vocabulary, tasks(folder)[kind]
        given = in_language("en" if architecture.startswith("MBart") else "")
        examples = task.splits()["train"]
        special = {"pad_token_id": v.padding, "bos_token_id": v.bos, "eos_token_id": v.eos}
        special["decoder_start_token_id"] = v.eos if architecture.startswith("Bart") else v.padding
        labels = {"num_labels": task.num_outputs}
        self.model = reference.random_model(Case(architecture, config | special | labels))
        self.model.save_pretrained(folder / "theirs")
        pretrained = replace(load_huggingface(folder / "theirs"), tokenizer=tokenizer)
        limits = limits_of(pretrained.config, given)
        self.task_model = make_task_model(task, make_backbone(pretrained, given), limits, given)
        config_ = replace(network_config(pretrained.config, self.task_model, given), unroll=False)
        self.network = Bound(build(config_), pretrained.params)
        self.examples, self.v, self.encode = examples, v, tokenizer.encode

    def batch(self, rows: slice = slice(None), length: int = 0) -> Batch:
        features = self.task_model.features(self.examples, learn=True)[rows]
        longest = max(feature.length for feature in features)
        return make_batch(features, len(features), length or longest, self.task_model.padding)

    def ours(self, batch: Batch) -> tuple[float, dict[str, np.ndarray]]:
        module = self.network.module
        forward = jax.jit(lambda params, batch: self.task_model.forward(Bound(module, params), batch, False))
        losses, _, outputs = forward(self.network.params, batch)
        return float(losses["task"].mean()), {name: np.asarray(value) for name, value in outputs.items()}

    def theirs(self, rows: list[list[int]], **labels: Any) -> Any:
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.v.padding] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.no_grad():
            return self.model(
                input_ids=ids, attention_mask=mask, **{name: torch.tensor(value) for name, value in labels.items()}
            )


def framed(pair: Pair, *texts: str) -> list[int]:
    """By hand, as each tokenizer of theirs does it."""
    first, second = (pair.encode(text) for text in texts)
    if type(pair.model).__name__.startswith("Bart"):
        return [pair.v.bos, *first, pair.v.eos, pair.v.eos, *second, pair.v.eos]
    language = [pair.task_model.backbone.start] if type(pair.model).__name__.startswith("MBart") else []
    return [*first, pair.v.eos, *second, pair.v.eos, *language]


THEIRS = pytest.mark.parametrize(("name", "config"), [("Bart", BART), ("MBart", BART), ("T5", T5)])


@THEIRS
def test_classification_is_theirs(name: str, config: dict[str, Any], of_languages: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pair = Pair(f"{name}ForSequenceClassification", config, "regression", of_languages, tmp_path)
    pair.examples[1] = replace(pair.examples[1], texts=("the story", "was a very dull plot"))
    rows = [framed(pair, *example.texts) for example in pair.examples]
    assert len({len(row) for row in rows}) > 1
    theirs = pair.theirs(rows, labels=[example.target for example in pair.examples])
    loss, outputs = pair.ours(pair.batch())
    np.testing.assert_allclose(outputs["logits"], theirs.logits.numpy(), atol=1e-4)
    assert loss == pytest.approx(float(theirs.loss), abs=1e-4)


@THEIRS
def test_answers_are_theirs(name: str, config: dict[str, Any], of_languages: Tokenizer, tmp_path: Path) -> None:
    """Theirs is over all places, ours over the context's and the class token: here all places are let in."""
    pytest.importorskip("transformers")
    pair = Pair(f"{name}ForQuestionAnswering", config, "question_answering", of_languages, tmp_path)
    batch = pair.batch()
    rows = [framed(pair, *example.texts) for example in pair.examples]
    places = {"start_positions": batch["answer_start"], "end_positions": batch["answer_end"]}
    theirs = pair.theirs(rows, **{key: value.astype(np.int64) for key, value in places.items()})
    loss, outputs = pair.ours(batch | {"allowed": np.ones_like(batch["allowed"])})
    np.testing.assert_allclose(outputs["start"], theirs.start_logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(outputs["end"], theirs.end_logits.numpy(), atol=1e-4)
    assert loss == pytest.approx(float(theirs.loss), abs=1e-4)
    # As it is trained, the question's places have no part in it, nor has the language's.
    question, language = len(pair.encode(pair.examples[0].texts[0])), len(rows[0]) - 1 if name == "MBart" else None
    assert batch["allowed"][0].tolist() == [
        int(place > question + (name == "Bart") * 2 and place != language) for place in range(len(rows[0]))
    ]


def test_t5s_tags_are_theirs(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pair = Pair("T5ForTokenClassification", T5, "token_classification", tokenizer, tmp_path)
    task: TokenClassificationTask = pair.task_model.task
    rows, labels = [], []
    for example in pair.examples:
        pieces = [pair.encode(word) for word in example.texts]
        rows.append([*[token for word in pieces for token in word], pair.v.eos])
        tags = [task.labels.index(tag) for tag in example.target]
        labels.append([n for tag, word in zip(tags, pieces, strict=True) for n in (tag, *[-100] * (len(word) - 1))])
    longest = max(map(len, rows))
    labels = [row + [-100] * (longest - len(row)) for row in labels]
    theirs = pair.theirs(rows, labels=labels)
    loss, outputs = pair.ours(pair.batch())
    assert loss == pytest.approx(float(theirs.loss), abs=1e-4)
    real = np.array([[place < len(row) for place in range(longest)] for row in rows])
    np.testing.assert_array_equal(outputs["tags"][real], theirs.logits.argmax(-1).numpy()[real])


def test_the_decoder_reads_the_row_shifted(tokenizer: Tokenizer) -> None:
    backbone = make_backbone(shapeless(tokenizer, "bart"), recipe())
    assert isinstance(backbone, EncoderDecoderBackbone)

    class Spy:
        def encode(self, tokens: Any, positions: Any, segments: Any) -> Any:
            return tokens

        def decode(self, tokens: Any, memory: Any, *rest: Any) -> Any:
            return tokens

    tokens = np.array([[5, 6, 7, 2], [8, 9, 2, 0]], np.int32)
    shifted = backbone.states(Spy(), tokens, None, np.ones_like(tokens))  # type: ignore[arg-type]
    assert np.asarray(shifted).tolist() == [[backbone.start, 5, 6, 7], [backbone.start, 8, 9, 2]]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "architecture"), [("bart", "Bart"), ("t5", "T5"), ("marian", "Marian")])
def test_it_learns_loads_and_exports(family: str, architecture: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    given = recipe(epochs=8.0)
    found = finetune(
        checkpoint(tokenizer, family), make_task(tmp_path), given, tmp_path / "run", devices=jax.devices()[:1]
    )
    assert found.best.scores[str(tmp_path / "test.tsv")]["accuracy"] > 0.85
    loaded = plmjax.load(tmp_path / "run")
    has_class = family != "marian"  # `transformers` has no Marian that classifies
    assert loaded.architecture == architecture + ("ForSequenceClassification" if has_class else "Model")
    assert loaded.config.heads == ("sequence_classification",)
    if has_class:
        plmjax.save_huggingface(loaded, tmp_path / "exported")
        again = plmjax.load(tmp_path / "exported")
        ids = [[*loaded.tokenizer.encode("a very good film"), loaded.special["eos_token_id"]]]  # type: ignore[union-attr]
        np.testing.assert_allclose(loaded(input_ids=ids)["logits"], again(input_ids=ids)["logits"], atol=1e-5)
