"""What an encoder-decoder reads round a text, and writes first, by its family and the languages that are named."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from plmjax.data.templates import Seq2SeqTemplate, Template
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import load_tokenizer
from plmjax.decode.text import generate_text
from plmjax.errors import UserError
from plmjax.finetune.backbones import make_backbone
from plmjax.finetune.config import FineTune
from plmjax.finetune.seq2seq_config import Seq2SeqConfig
from plmjax.interop import Pretrained
from plmjax.interop.source_templates import source_template
from plmjax.interop.templates import language_token
from plmjax.modules.bart import BartConfig, MBartConfig
from plmjax.modules.bert import BertConfig
from plmjax.pipelines import Model
from plmjax.pipelines.generate import template_of
from tests.interop.reference import corpus
from tests.interop.test_files import fresh

sentencepiece = pytest.importorskip("sentencepiece")
SIZES: dict[str, Any] = {
    "max_positions": 20, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2, "d_model": 12, "d_ff": 14,
    "unroll": False,
}  # fmt: skip
PIECES = 380
DE, EN = PIECES + 1 + 2, PIECES + 1 + 3  # mBART's third and fourth language


@pytest.fixture(scope="module")
def model() -> bytes:
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=file, vocab_size=PIECES, minloglevel=2
    )
    return file.getvalue()


def mbart(model: bytes, directory: Path, kind: str) -> Pretrained:
    (directory / "sentencepiece.bpe.model").write_bytes(model)
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    tokenizer = load_tokenizer(directory)
    start = {"decoder_start_token_id": 2} if kind == "MBart50Tokenizer" else {}
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2} | start
    config = MBartConfig(vocab_size=tokenizer.vocabulary.size, **SIZES)
    return _with(fresh(config, "MBartForConditionalGeneration", **special), tokenizer)


def _with(pretrained: Pretrained, tokenizer: Tokenizer) -> Pretrained:
    return Pretrained(pretrained.config, pretrained.params, pretrained.architecture, tokenizer, pretrained.special)


def test_mbart(model: bytes, tmp_path: Path) -> None:
    pretrained = mbart(model, tmp_path, "MBartTokenizer")
    assert source_template(pretrained, "en_XX", "de_DE") == Seq2SeqTemplate(Template(suffix=(2, EN)), DE)
    with pytest.raises(UserError, match="needs the languages.*ar_AR, cs_CZ"):
        source_template(pretrained, "en_XX")
    with pytest.raises(UserError, match="no token of the language 'xx_XX': it has ar_AR"):
        source_template(pretrained, "en_XX", "xx_XX")


def test_mbart_50_and_what_it_writes(model: bytes, tmp_path: Path) -> None:
    """The strings are those of the ids that `generate` gives for the same template."""
    pretrained = mbart(model, tmp_path, "MBart50Tokenizer")
    assert source_template(pretrained, "en_XX", "de_DE") == Seq2SeqTemplate(Template((EN,), (), (2,)), 2, DE)
    tokenizer = pretrained.tokenizer
    assert tokenizer is not None
    ids = [EN, *tokenizer.encode("The cat"), 2]
    special = np.flatnonzero(tokenizer.vocabulary.is_special[: tokenizer.vocabulary.size])
    asked = {"num_beams": 2, "max_new_tokens": 6, "no_repeat_ngram_size": 1}
    banned = [int(token) for token in special if token not in (2, DE)]
    expected = pretrained.generate([ids], forced_bos_token_id=DE, bad_words_ids=[[token] for token in banned], **asked)
    assert expected[0, :2].tolist() == [2, DE]
    written = Model.of(pretrained).generate("The cat", source="en_XX", target="de_DE", **asked)
    row = expected[0, 2:].tolist()
    assert written == tokenizer.decode(row[: row.index(2)] if 2 in row else row)


@pytest.mark.parametrize(
    ("kind", "row", "class_index", "start"),
    [("MBartTokenizer", [5, 2, 6, 2, EN], 3, EN), ("MBart50Tokenizer", [EN, 5, 2, 6, 2], 4, 2)],
)
def test_heads_read_the_language_too(
    kind: str, row: list[int], class_index: int, start: int, model: bytes, tmp_path: Path
) -> None:
    given = FineTune(seq2seq=Seq2SeqConfig(source_language="en_XX"))
    backbone: Any = make_backbone(mbart(model, tmp_path, kind), given)
    framed = backbone.template.pack(*[[5], [6]])
    assert (framed.tokens.tolist(), framed.class_index, backbone.start) == (row, class_index, start)


def test_bart_reads_its_mask_between_bos_and_eos(model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def keep(network: Any, tokenizer: Any, prompts: list[list[int]], config: Any, **settings: Any) -> Any:
        seen.extend([*prompts, [config.decoder_start_token_id]])
        return [[[]] for _ in prompts]

    monkeypatch.setattr("plmjax.decode.text.generate_ids", keep)
    tokenizer = mbart(model, tmp_path, "XLMRobertaTokenizer").tokenizer
    assert tokenizer is not None
    special = {"bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=tokenizer.vocabulary.size, **SIZES)
    bart = _with(fresh(config, "BartForConditionalGeneration", **special), tokenizer)
    generate_text(bart.bound, tokenizer, ["The [MASK] sat"], template=source_template(bart))
    mask = tokenizer.vocabulary.mask
    assert seen == [[0, *tokenizer.encode("The"), mask, *tokenizer.encode("sat"), 2], [2]]
    with pytest.raises(UserError, match="BartForConditionalGeneration has no tokens of languages"):
        source_template(bart, target="de_DE")


def test_languages_under_other_names() -> None:
    tokenizer: Any = SimpleNamespace(special_names={7: "<en>", 8: ">>de<<", 9: "[fr]", 2: "</s>"})
    assert [language_token(tokenizer, name) for name in ("en", "de", "fr", "<en>")] == [7, 8, 9, 7]


def test_an_encoder_takes_no_language() -> None:
    config = BertConfig(vocab_size=30, max_positions=9, num_layers=1, num_heads=2, d_model=12, d_ff=14)
    with pytest.raises(UserError, match="BertForMaskedLM does not translate"):
        template_of(fresh(config, "BertForMaskedLM"), None, "de")
