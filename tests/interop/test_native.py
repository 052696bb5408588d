"""plmjax's own checkpoints through `plmjax.load`, and the script that converts them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plmjax
from plmjax.checkpoints.checkpointer import Checkpointer
from plmjax.checkpoints.serialize import to_json
from plmjax.checkpoints.state import State
from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.load import train_sentencepiece
from plmjax.errors import UserError
from plmjax.interop.bart import CONDITIONAL
from plmjax.interop.convert import convert
from plmjax.interop.native import save
from plmjax.interop.pretrained import Pretrained
from plmjax.interop.registry import architecture_of
from plmjax.interop.weight_map import flatten
from plmjax.modules import Bound, build
from plmjax.modules.bart import BartConfig
from plmjax.modules.bert import BertConfig
from plmjax.modules.gpt3 import GPT3Config
from plmjax.modules.lamda import LamdaConfig
from plmjax.modules.t5 import T5Config
from tests.interop.reference import corpus
from tests.interop.test_files import assert_same_params, fresh

BERT = BertConfig(vocab_size=512, max_positions=20, num_layers=2, num_heads=2, d_model=12, d_ff=14)
T5 = T5Config(vocab_size=512, num_layers=1, num_decoder_layers=1, num_heads=2, d_model=12, d_kv=5, d_ff=14, tied=False)
BART = BartConfig(
    vocab_size=512, max_positions=20, num_layers=1, num_decoder_layers=1, num_heads=2, d_model=12, d_ff=14, unroll=False
)
GPT3 = GPT3Config(
    vocab_size=385, max_positions=20, num_layers=2, num_heads=2, d_model=12, d_ff=14, bands=(0, 3), unroll=False
)
LAMDA = LamdaConfig(vocab_size=385, num_layers=1, num_heads=2, d_model=12, d_kv=5, d_ff=14, unroll=False)
CORPUS = corpus()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return train_sentencepiece(CORPUS, tmp_path_factory.mktemp("sp"), vocab_size=380, sentinels=5)


@pytest.fixture(scope="module", params=[BERT, T5, BART], ids=["bert", "t5", "bart"])
def workdir(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves: a checkpoint whose tables are padded to a multiple of 128, and its tokenizer."""
    directory = tmp_path_factory.mktemp("run")
    tokenizer.save(directory / "store" / "tokenizer")
    params = fresh(request.param, "BertForMaskedLM").params
    zero = jnp.zeros((), jnp.int32)
    writer = Checkpointer(directory / "checkpoints", keep=1)
    manifest = {"config": {"model": to_json(request.param), "data": {"store": ""}}, "tokenizer": tokenizer.fingerprint}
    writer.save(State(zero, params, (), zero, zero), manifest)
    writer.close()
    return directory


def test_padding_rows_are_left_off(workdir: Path, tokenizer: Tokenizer) -> None:
    loaded = plmjax.load(workdir)
    assert loaded.config.vocab_size == tokenizer.vocabulary.size == 385
    assert loaded.tokenizer is not None and loaded.tokenizer.fingerprint == tokenizer.fingerprint
    assert loaded.special["pad_token_id"] == tokenizer.vocabulary.pad
    ids = {"input_ids": [[1, 2, 3]]} | (
        {"decoder_input_ids": [[0, 4]]} if loaded.architecture.endswith(CONDITIONAL) else {}
    )
    assert loaded(**ids)["logits"].shape[-1] == 385


def test_a_step_without_its_tokenizer_keeps_every_row(workdir: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
    loaded = plmjax.load(tmp_path / "checkpoints" / "0")
    assert loaded.tokenizer is None and loaded.config.vocab_size == 512


def test_ours_to_theirs_and_back(workdir: Path, tmp_path: Path) -> None:
    report = list(convert(source=str(workdir), to_hf=str(tmp_path / "hf")))
    assert "parameters" in report[0] and len(report) > 3
    back = list(convert(from_hf=str(tmp_path / "hf"), to=str(tmp_path / "own")))
    first, second = plmjax.load(workdir), plmjax.load(tmp_path / "own")
    assert_same_params(first, second)
    assert second.architecture == first.architecture and dict(second.special) == dict(first.special)
    assert second.tokenizer is not None and second.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert report[2:] == back[2:]  # the same words with the same probabilities
    assert_same_params(second, plmjax.load(tmp_path / "hf"))


def test_exported_checkpoint_in_transformers(workdir: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    ours = plmjax.load(workdir)
    plmjax.save_huggingface(ours, tmp_path)
    model = getattr(transformers, ours.architecture).from_pretrained(tmp_path).eval()
    text = transformers.AutoTokenizer.from_pretrained(tmp_path)("the cat 日.", return_tensors="np")
    inputs = {"input_ids": text["input_ids"]}
    if ours.architecture.endswith(CONDITIONAL):
        inputs["decoder_input_ids"] = inputs["input_ids"][:, :3]
    if "Bart" in ours.architecture:  # opened and closed as in its pre-training
        names = (ours.special["bos_token_id"], ours.special["eos_token_id"])
        assert (inputs["input_ids"][0, 0], inputs["input_ids"][0, -1]) == names
        assert model.config.decoder_start_token_id == ours.special["decoder_start_token_id"] == names[1]
    with torch.no_grad():
        theirs = model(**{name: torch.tensor(value) for name, value in inputs.items()})
    np.testing.assert_allclose(ours(**inputs)["logits"], theirs["logits"].numpy(), atol=1e-4)


def test_conversion_keeps_rows_that_huggingface_padded(tmp_path: Path, tokenizer: Tokenizer) -> None:
    source = fresh(BERT, "BertForMaskedLM", pad_token_id=0)
    save(source, tmp_path)
    loaded = plmjax.load(tmp_path)
    assert flatten(loaded.params)["embeddings/tokens/embedding"].shape == (512, 12)
    assert_same_params(source, loaded)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint at"):
        plmjax.load(tmp_path / "missing")
    with pytest.raises(UserError, match="no complete checkpoint"):
        plmjax.load(tmp_path)


@pytest.mark.parametrize(
    "flags",
    [{}, {"from_hf": "x"}, {"from_hf": "x", "to_hf": "y"}, {"from_hf": "a", "to": "b", "source": "c", "to_hf": "d"}],
)
def test_conversion_goes_one_way(flags: dict[str, str]) -> None:
    with pytest.raises(UserError, match="either --from_hf and --to"):
        list(convert(**flags))


def test_script_prints_one_line_for_a_mistake(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "experiments.convert",
        f"--from={tmp_path / 'missing'}",
        f"--to_hf={tmp_path / 'out'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: There is no checkpoint")
    assert "Traceback" not in done.stderr


def test_import_alone_takes_nothing() -> None:
    code = "import sys, plmjax; assert not {'jax', 'torch', 'transformers', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("config", [GPT3, LAMDA], ids=["gpt3", "lamda"])
def test_a_decoder_without_a_class_is_continued_but_not_exported(config: Any, tokenizer: Tokenizer, tmp_path: Path):
    module = build(config)
    params = module.init(jax.random.key(0))["params"]
    save(Pretrained(config, params, architecture_of(config), tokenizer), tmp_path / "own")
    loaded = plmjax.load(tmp_path / "own")
    logits = loaded(input_ids=[[5, 6, 7]])["logits"]
    np.testing.assert_allclose(
        logits, Bound(module, params).token_logits(Bound(module, params).decode(np.array([[5, 6, 7]]))), atol=1e-5
    )
    assert loaded.generate([[5, 6, 7]], max_new_tokens=1)[0, -1] == logits[0, -1].argmax()
    with pytest.raises(UserError, match=f"No class of transformers holds the network of a {type(config).__name__}"):
        plmjax.interop.save_huggingface(loaded, tmp_path / "theirs")
    assert not (tmp_path / "theirs" / "config.json").exists()
