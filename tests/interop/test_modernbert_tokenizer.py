"""ModernBERT's tokenizer: a tokenizer.json of a byte-level BPE with BERT's special tokens, after the vocabulary."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from plmjax.interop import load_huggingface, save_huggingface
from tests.interop.cases.modernbert import MODERNBERT

pytest.importorskip("torch", reason="the parity extra is not installed")
pytest.importorskip("transformers", reason="the parity extra is not installed")
from transformers import AutoTokenizer, ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
NAMES = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
TEXTS = ["a film of two films", "the [MASK] was, naturally, long"]


def written(folder: Path) -> None:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(TEXTS, trainer)
    mask = AddedToken("[MASK]", lstrip=True, normalized=False, special=True)  # as released: the blank before is its own
    backend.add_special_tokens(["<|padding|>", "<|endoftext|>", *SPECIAL[:-1], mask])
    cls, sep = backend.token_to_id("[CLS]"), backend.token_to_id("[SEP]")
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    PreTrainedTokenizerFast(tokenizer_object=backend, **(NAMES | {"mask_token": mask})).save_pretrained(folder)
    sizes = MODERNBERT | {"vocab_size": backend.get_vocab_size(), "max_position_embeddings": 64}
    ids = {"pad_token_id": backend.token_to_id("[PAD]"), "cls_token_id": cls, "sep_token_id": sep}
    ModernBertForMaskedLM(ModernBertConfig(**(sizes | ids))).save_pretrained(folder)


def test_it_loads_and_is_exported_with_the_same_ids(tmp_path: Path) -> None:
    written(tmp_path / "theirs")
    model = load_huggingface(tmp_path / "theirs")
    save_huggingface(model, tmp_path / "ours")
    theirs, exported = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("theirs", "ours"))
    vocabulary = model.tokenizer.vocabulary
    for role in ("pad", "cls", "sep", "mask", "unk"):
        assert getattr(vocabulary, role) == theirs.convert_tokens_to_ids(f"[{role.upper()}]"), role
    assert model.tokenizer.encode(TEXTS[0]) == theirs(TEXTS[0], add_special_tokens=False)["input_ids"]
    for text in TEXTS:
        assert exported(text)["input_ids"] == theirs(text)["input_ids"]
    pair = [tokenizer(*TEXTS)["input_ids"] for tokenizer in (theirs, exported)]
    assert pair[0] == pair[1]
    batch = exported(TEXTS, padding=True, return_tensors="np")
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])["logits"]
    assert np.isfinite(logits).all() and logits.shape[-1] == model.config.vocab_size
