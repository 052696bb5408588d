"""What of XLM's files goes beyond the cases: fixed positions, tokenizers, what can't be exported."""

import dataclasses
import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from plmjax.data.tokenizers.load import train_sentencepiece  # noqa: E402
from plmjax.errors import UserError  # noqa: E402
from plmjax.interop import load_huggingface, save_huggingface  # noqa: E402
from plmjax.interop.registry import FAMILIES  # noqa: E402
from plmjax.interop.tokenizer_files import save_tokenizer  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.cases.xlm import CASES, XLM  # noqa: E402


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory):
    """A directory of XLMWithLMHeadModel."""
    (case,) = [case for case in CASES if str(case) == "XLMWithLMHeadModel"]
    directory = tmp_path_factory.mktemp("xlm")
    reference.random_model(case).save_pretrained(directory)
    return directory


def test_sinusoids_are_theirs(tmp_path):
    torch.manual_seed(0)
    model = transformers.XLMModel(transformers.XLMConfig(**XLM | {"sinusoidal_embeddings": True})).eval()
    model.save_pretrained(tmp_path / "theirs")
    ours = load_huggingface(tmp_path / "theirs")
    assert ours.config.positions == "sinusoidal" and "positions" not in ours.params["embeddings"]
    tokens = np.arange(3, 14)[None]
    langs = np.ones_like(tokens)
    with torch.no_grad():
        theirs = model(torch.tensor(tokens), langs=torch.tensor(langs)).last_hidden_state.numpy()
    np.testing.assert_allclose(ours(input_ids=tokens, langs=langs)["last_hidden_state"], theirs, atol=1e-4)
    save_huggingface(ours, tmp_path / "ours")
    again = transformers.XLMModel.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        repeated = again(torch.tensor(tokens), langs=torch.tensor(langs)).last_hidden_state.numpy()
    np.testing.assert_allclose(repeated, theirs, atol=1e-6)


def test_padding_without_a_mask(masked_lm):
    """Without a mask they count the tokens that are no padding."""
    model = transformers.XLMWithLMHeadModel.from_pretrained(masked_lm).eval()
    tokens = np.array([[5, 6, 7, 8, 9], [5, 6, 7, 2, 2]])
    with torch.no_grad():
        theirs = model(torch.tensor(tokens)).logits.numpy()
    ours = load_huggingface(masked_lm)(input_ids=tokens)["logits"]
    np.testing.assert_allclose(ours[tokens != 2], theirs[tokens != 2], atol=1e-4)


def test_what_it_does_not_take(masked_lm):
    model = load_huggingface(masked_lm)
    tokens = np.arange(3, 8)[None]
    with pytest.raises(UserError, match="'langs' holds 4 to 4, outside 0 to 3"):
        model(input_ids=tokens, langs=np.full_like(tokens, 4))
    with pytest.raises(UserError, match="no input 'token_type_ids'"):
        model(input_ids=tokens, token_type_ids=tokens)


@pytest.mark.parametrize(("field", "value"), [("d_ff", 100), ("activation", "gelu_tanh")])
def test_what_can_not_be_exported(masked_lm, tmp_path, field, value):
    model = load_huggingface(masked_lm)
    changed = dataclasses.replace(model, config=dataclasses.replace(model.config, **{field: value}))
    with pytest.raises(UserError, match="can't be exported"):
        save_huggingface(changed, tmp_path / "out")


def test_tokenizers_that_are_not_read(masked_lm, tmp_path, caplog):
    (masked_lm / "vocab.json").write_text("{}")
    (masked_lm / "merges.txt").write_text("#version: 0.2\n")
    with caplog.at_level(logging.WARNING):
        assert load_huggingface(masked_lm).tokenizer is None
    assert "the class XLMTokenizer, which plmjax does not read" in caplog.text
    (case,) = [case for case in CASES if str(case) == "XLMRobertaForMaskedLM"]
    reference.random_model(case).save_pretrained(tmp_path)
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"pieces")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        load_huggingface(tmp_path)


def test_translations_get_four_separators(tmp_path):
    tokenizer = train_sentencepiece(reference.corpus(), tmp_path / "trained", vocab_size=400, sentinels=0)
    save_tokenizer(tokenizer, tmp_path / "saved", FAMILIES["xlm"].tokenizer, 512)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    eos, a, b = tokenizer.vocabulary.eos, tokenizer.encode("The cat"), tokenizer.encode("it's 3")
    assert theirs("The cat").input_ids == [eos, *a, eos]
    assert theirs("The cat", "it's 3").input_ids == [eos, *a, eos, eos, *b, eos]
    assert (theirs.cls_token_id, theirs.sep_token_id) == (eos, eos)
