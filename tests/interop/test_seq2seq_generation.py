"""What encoder-decoders write, by their generation_config.json: token for token what transformers writes."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from plmjax.errors import UserError  # noqa: E402
from plmjax.interop import load, load_huggingface, save, save_huggingface  # noqa: E402
from plmjax.interop.generation import merged  # noqa: E402
from tests.interop import reference  # noqa: E402
from tests.interop.case import Case, tokens_and_mask  # noqa: E402
from tests.interop.cases.bart import MARIAN, SCALED, SIZES  # noqa: E402
from tests.interop.cases.t5 import T5, T5_1_1  # noqa: E402

TWO = {"decoder_layers": 2}  # their cache has as many layers as the encoder
BANNED = [[4], [5, 6], [7], [2]]
GERMAN = 91  # the token of a language
BEAMS = {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 2}
# (class, configuration, generation_config.json)
WRITERS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "bart": (
        "BartForConditionalGeneration", SIZES | TWO,
        BEAMS | {"max_length": 12, "min_length": 5, "forced_bos_token_id": 1, "forced_eos_token_id": 2},
    ),
    "bart-greedy": (
        "BartForConditionalGeneration", SIZES | TWO,
        {"max_new_tokens": 9, "forced_eos_token_id": 2, "begin_suppress_tokens": [50, 1]},
    ),
    "mbart-starts-with-the-language": (
        "MBartForConditionalGeneration", SCALED | TWO,
        {"max_length": 10, "decoder_start_token_id": GERMAN, "repetition_penalty": 3.0},
    ),
    "mbart-50": (
        "MBartForConditionalGeneration", SCALED | TWO,
        BEAMS | {"max_length": 10, "forced_bos_token_id": GERMAN, "begin_suppress_tokens": [9]},
    ),
    "marian": (
        "MarianMTModel", MARIAN | TWO | {"pad_token_id": 100, "decoder_start_token_id": 100, "eos_token_id": 0},
        {"num_beams": 4, "max_length": 11, "bad_words_ids": [[100], *BANNED], "forced_eos_token_id": 0},
    ),
    "t5": ("T5ForConditionalGeneration", T5 | {"num_decoder_layers": 2}, {"suppress_tokens": [3, 50, 77]}),
    "t5-1.1": (
        "T5ForConditionalGeneration", T5_1_1 | {"num_decoder_layers": 2},
        {"num_beams": 2, "max_new_tokens": 8, "repetition_penalty": 1.3, "num_return_sequences": 2},
    ),
}  # fmt: skip


def saved(name: str, directory: Path) -> Any:
    """Their model, and its directory."""
    architecture, config, generation = WRITERS[name]
    model = reference.random_model(Case(architecture, config))
    for key, value in generation.items():
        setattr(model.generation_config, key, value)
    model.save_pretrained(directory)
    return model


def prompts(pad: int) -> tuple[np.ndarray, np.ndarray]:
    return tokens_and_mask(np.random.default_rng(5), 9, "right", pad)


def theirs(model: Any, tokens: np.ndarray, mask: np.ndarray, **asked: Any) -> np.ndarray:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.generate(torch.tensor(tokens), attention_mask=torch.tensor(mask), **asked).numpy()


@pytest.mark.parametrize("name", WRITERS)
def test_texts_are_theirs(name: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / "theirs")
    ours = load_huggingface(tmp_path / "theirs")
    tokens, mask = prompts(model.config.pad_token_id)
    asked = {} if any(key.startswith("max") for key in WRITERS[name][2]) else {"max_new_tokens": 9}
    expected = theirs(model, tokens, mask, **asked)
    written = ours.generate(tokens, mask, **asked)
    np.testing.assert_array_equal(written, expected)
    assert len(np.unique(written)) > 3
    save_huggingface(ours, tmp_path / "again")
    save(ours, tmp_path / "own")
    for again in (load_huggingface(tmp_path / "again"), load(tmp_path / "own")):
        assert dict(again.generation) == dict(ours.generation)
    loaded = getattr(transformers, WRITERS[name][0]).from_pretrained(tmp_path / "again")
    np.testing.assert_array_equal(theirs(loaded, tokens, mask, **asked), expected)


def test_what_is_asked_for_comes_first(tmp_path: Path) -> None:
    """A search's settings in the file do nothing where no search is asked for, as in transformers."""
    model = saved("bart", tmp_path)
    tokens, mask = prompts(0)
    asked = {"num_beams": 1, "max_new_tokens": 4, "min_new_tokens": 2}
    written = load_huggingface(tmp_path).generate(tokens, mask, **asked)
    np.testing.assert_array_equal(written, theirs(model, tokens, mask, min_length=0, **asked))


def test_old_directories_have_it_in_config_json(tmp_path: Path) -> None:
    """And what they say nothing of is as their configuration's class has it: BART must end with </s>."""
    model = saved("bart", tmp_path)
    (tmp_path / "generation_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    config = {key: value for key, value in config.items() if key != "forced_eos_token_id"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_beams": 2, "max_length": 7}))
    ours, loaded = load_huggingface(tmp_path), type(model).from_pretrained(tmp_path)
    assert dict(ours.generation) == {"num_beams": 2, "max_length": 7, "forced_eos_token_id": 2}
    tokens, mask = prompts(0)
    np.testing.assert_array_equal(ours.generate(tokens, mask), theirs(loaded, tokens, mask))


def test_what_is_not_done_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved("t5", tmp_path)
    file = tmp_path / "generation_config.json"
    silent = {"use_cache": False, "typical_p": 1.0, "diversity_penalty": 0.0, "output_scores": True}
    file.write_text(json.dumps(silent | {"penalty_alpha": 0.6, "eos_token_id": [1, 2]}))
    with caplog.at_level(logging.WARNING):
        ours = load_huggingface(tmp_path)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "penalty_alpha = 0.6, which plmjax does not do" in told[0] and "[1, 2]" in told[1]
    assert ours.generation["penalty_alpha"] == 0.6 and ours.generation["use_cache"] is False
    file.write_text("[")
    with pytest.raises(UserError, match="generation_config.json is not JSON"):
        load_huggingface(tmp_path)


def test_a_decoder_counts_its_prompt() -> None:
    found = merged({"max_length": 12, "min_length": 9}, {"eos_token_id": 1}, "decoder", 5, {})
    assert (found["max_new_tokens"], found["min_new_tokens"]) == (7, 4)
    with pytest.raises(UserError, match="leaves no room after 12 tokens"):
        merged({"max_length": 12}, {}, "decoder", 12, {})


def test_a_sampling_checkpoint_samples_as_theirs_would() -> None:
    found = merged({"do_sample": True, "temperature": 0.7}, {}, "decoder", 5, {})
    assert found["top_k"] == 50 and found["temperature"] == 0.7
    assert "top_k" not in merged({"do_sample": True, "top_k": 0}, {}, "decoder", 5, {})  # 0 keeps every token
    assert not merged({"do_sample": True}, {}, "decoder", 5, {"do_sample": False})["do_sample"]
