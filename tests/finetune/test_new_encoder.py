"""A BART is fine-tuned to translate under a new encoder: what is read, what moves, what is kept and loads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import plmjax
import plmjax.data.tokenizers.load
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import train_sentencepiece
from plmjax.errors import UserError
from plmjax.finetune.config import FineTune
from plmjax.finetune.features import make_batch
from plmjax.finetune.loop import finetune
from plmjax.finetune.new_encoder import with_new_encoder
from plmjax.finetune.results import Results
from plmjax.finetune.update_strategies import NewEncoderFirst
from plmjax.interop import Pretrained
from plmjax.interop.native import save
from plmjax.interop.weight_map import flatten
from plmjax.tasks.seq2seq import Seq2SeqTask
from tests.finetune.kit import OTHER, checkpoint, recipe, write_jsonl
from tests.finetune.test_loop import make_task
from tests.finetune.text_kit import seq2seq_model_of, texts

FOREIGN = {word: f"{word[::-1]}ö{number}" for number, word in enumerate(OTHER)}


def foreign(text: str) -> str:
    """Each word by another."""
    return " ".join(FOREIGN[word] for word in text.split())


def translating(folder: Path, count: int = 20) -> Seq2SeqTask:
    rows = [{"text": foreign(text), "target": text} for text in texts(count, 7, 3)]
    file = str(write_jsonl(folder / "pairs.jsonl", rows))
    return Seq2SeqTask(train=file, validation=file, metric=("exact_match", "bleu"))  # BLEU of three words is 0


def translating_recipe(source: Path, share: float, **changes: Any) -> FineTune:
    found = recipe(**changes)
    found.update_strategy, found.dropout = NewEncoderFirst(share), 0.0
    found.seq2seq.source_tokenizer, found.seq2seq.source_layers = str(source), 1
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tokenizer that has other ids for other words and marks, more than BART's has rows."""
    folder = tmp_path_factory.mktemp("source") / "tokenizer"
    lines = [foreign(text) for text in texts(300, 3)] + [f"{number**3:x}ß" for number in range(400)]
    train_sentencepiece(lines, folder, vocab_size=330, specials="bert")
    return folder


@pytest.fixture(scope="module")
def bart(tokenizer: Tokenizer) -> Pretrained:
    return checkpoint(tokenizer, "bart")


@pytest.fixture(scope="module")
def run(bart: Pretrained, source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """Three steps, all of the first stage."""
    folder = tmp_path_factory.mktemp("translation")
    given = translating_recipe(source, 1.0, steps=3, buckets=1)
    return folder / "run", finetune(bart, translating(folder), given, folder / "run", devices=jax.devices()[:1])


def test_the_source_is_read_by_its_own_tokenizer(bart: Pretrained, source: Path, tmp_path: Path) -> None:
    task, given = translating(tmp_path), translating_recipe(source, 1.0)
    start = with_new_encoder(bart, task, given)
    reads = start.source_tokenizer
    assert reads is not None
    reads.vocabulary = replace(reads.vocabulary, pad=7)  # which is not BART's
    task_model, bound = seq2seq_model_of(start, task, given)
    examples = task.splits()["train"]
    feature = task_model.features(examples, learn=True)[0]
    v, w, tokenizer = reads.vocabulary, bart.tokenizer.vocabulary, bart.tokenizer  # type: ignore[union-attr]
    tokens = feature.sequences["tokens"].tolist()
    assert tokens == [v.cls, *reads.encode(examples[0].texts[0]), v.sep]
    assert reads.decode(tokens) == examples[0].texts[0]
    targets = feature.values["targets"][: feature.values["target_count"]].tolist()
    assert targets == [w.bos, *tokenizer.encode(examples[0].target[0]), w.eos]  # type: ignore[union-attr]
    batch = make_batch([feature], 1, 32, task_model.padding)
    assert batch["tokens"][0, feature.length :].tolist() == [7] * (32 - feature.length)
    config = bound.module.config
    assert (config.source_vocab_size, config.source_layers) == (v.padded_size, 1)
    assert config.vocab_size == bart.config.vocab_size


@pytest.mark.slow
def test_the_first_stage_moves_the_new_encoder(bart: Pretrained, run: tuple[Path, Results]) -> None:
    found = flatten(plmjax.load(run[0]).params)
    projections = [f"encoder/layers/attention/{part}/kernel" for part in ("query", "key", "value")]
    moved = {path for path, leaf in flatten(bart.params).items() if not np.array_equal(leaf, found[path])}
    assert {"encoder_embeddings/positions/embedding", "decoder_embeddings/positions/embedding"} < moved
    assert set(projections) < moved
    allowed = {"encoder_embeddings/positions/embedding", "decoder_embeddings/positions/embedding", *projections}
    assert moved <= allowed | {path.replace("kernel", "bias") for path in projections}
    for path in projections:
        same = [np.array_equal(*layer) for layer in zip(flatten(bart.params)[path], found[path], strict=True)]
        assert same == [False] + [True] * (len(same) - 1)
    assert {path for path in found if path.startswith("source_")} == set(found) - set(flatten(bart.params))


@pytest.mark.slow
def test_the_folder_translates(
    run: tuple[Path, Results], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loaded network reads and writes as the evaluation did; BART's tokenizer reads nothing."""
    loaded = plmjax.load(run[0])
    monkeypatch.setattr(loaded.tokenizer, "encode", None)
    reads = loaded.source_tokenizer
    assert reads is not None and reads.fingerprint == plmjax.data.tokenizers.load.load_tokenizer(source).fingerprint
    assert reads.fingerprint == run[1].about["source_tokenizer"]
    lines = [json.loads(line) for line in (run[0] / "predictions.jsonl").read_text().splitlines()][:3]
    asked = [foreign(line["target"]) for line in lines]
    written = [line["prediction"] for line in lines]
    assert [text.strip() for text in loaded.generate(asked)] == written
    assert any(written)
    beyond = loaded.source_tokenizer.vocabulary.size - 1  # type: ignore[union-attr]
    assert beyond >= loaded.config.vocab_size and len(loaded.generate([[beyond]])) == 1
    ids = [[reads.vocabulary.cls, *reads.encode(asked[0]), reads.vocabulary.sep]]
    vocabulary = loaded.tokenizer.vocabulary  # type: ignore[union-attr]
    # A text gets no special token but the one that ends it. Ids may get any, unless they are named as here; a forced
    # first token goes before the bad words, as in transformers, so it is still written.
    special = [[token] for token in np.flatnonzero(vocabulary.is_special).tolist() if token != vocabulary.eos]
    tokens = loaded.generate(ids, bad_words_ids=special)[0]
    assert loaded.generate(asked[0]) == loaded.tokenizer.decode(tokens)  # type: ignore[union-attr]
    assert loaded(input_ids=[[beyond]], decoder_input_ids=[[1, 2]])["logits"].shape == (1, 2, loaded.config.vocab_size)
    with pytest.raises(UserError, match="No class of transformers holds the network of a BartTranslationConfig"):
        plmjax.save_huggingface(loaded, tmp_path / "exported")
    with pytest.raises(UserError, match="has no tokenizer of the texts that it reads: put the folder source_tokenizer"):
        replace(loaded, source_tokenizer=None).generate("a")
    save(loaded, tmp_path / "again")
    again = plmjax.load(tmp_path / "again")
    assert again.source_tokenizer is not None and again.source_tokenizer.fingerprint == reads.fingerprint


def test_what_is_refused(bart: Pretrained, tokenizer: Tokenizer, source: Path, tmp_path: Path) -> None:
    task, given = translating(tmp_path), translating_recipe(source, 1.0, steps=1)

    def refusal(start: Pretrained, task: Any, given: FineTune) -> str:
        with pytest.raises(UserError) as error:
            finetune(start, task, given, tmp_path / "none", devices=jax.devices()[:1])
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "this one is of kind 'classification'" in refusal(bart, make_task(tmp_path), given)
    assert "this is a T5Config" in refusal(checkpoint(tokenizer, "t5"), task, given)
    taught = with_new_encoder(bart, task, given)
    assert "this is a BartTranslationConfig" in refusal(taught, task, given)
    missing = translating_recipe(tmp_path / "nowhere", 1.0)
    assert f"seq2seq.source_tokenizer: No tokenizer at {tmp_path / 'nowhere'}" in refusal(bart, task, missing)
    none = recipe()
    none.update_strategy = NewEncoderFirst()
    assert "name the source's tokenizer with --config.seq2seq.source_tokenizer=DIR" in refusal(bart, task, none)
    given.seq2seq.source_layers = 0
    assert "seq2seq.source_layers is 0" in refusal(bart, task, given)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_it_learns_a_dictionary(bart: Pretrained, source: Path, tmp_path: Path) -> None:
    given = translating_recipe(source, 0.5, steps=600, batch_size=20, eval_every=300, buckets=1)
    given.optimizer.learning_rate = 5e-3
    found = finetune(bart, translating(tmp_path), given, tmp_path / "run", devices=jax.devices()[:1])
    assert found.best.scores["validation"]["exact_match"] == 1.0
    loaded = plmjax.load(tmp_path / "run")
    asked = texts(3, 7, 3)
    assert loaded.generate([foreign(text) for text in asked]) == asked
    now = flatten(loaded.params)
    stayed = [path for path, leaf in flatten(bart.params).items() if np.array_equal(leaf, now[path])]
    assert stayed == ["token_head/bias"]  # which no training of a BART moves
