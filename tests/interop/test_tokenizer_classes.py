"""Tokenizers' folders, read as the classes that they name: every id is the one that AutoTokenizer gives."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.data.tokenizers.folder import UnreadTokenizerError
from plmjax.data.tokenizers.load import CLASSES, load_tokenizer
from plmjax.errors import UserError
from plmjax.interop.registry import FAMILIES
from plmjax.interop.tokenizer_files import save_tokenizer
from tests.interop.reference import corpus

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CORPUS = corpus()
TEXTS = [
    "The cat sat on the mat.",
    "the cat sat 今天",
    "Paris is big",
    "  two  blanks in front",
    "Café naïve ÀÉ",
    "``quoted'' text's",
    "1,234 and 5, 6",
    "tabs\tand\nline breaks",
    "日本語 今天",
    "covid and the covids",
    "unknown ☃ snow",
    "a\u2028b\u00a0c",
    "",
    *CORPUS[:20],
]
MARKED = ["the [E1] cat[/E1] sat", "[E1]the [/E1]", "the <e> cat <e>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [
    *("[PAD]", "\u2028", "\x85", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *LETTERS.upper()),
    *(*".,:()'\"-1234567890`今天", *(f"##{letter}" for letter in LETTERS + LETTERS.upper() + "0123456789")),
    *("the", "cat", "sat", "The", "##at", "é", "caf", "##é", "snow", "[unused1]"),
]
SIZE = len(PIECES)
WORDPIECE = {"vocab.txt": "\n".join(PIECES) + "\n"}
CTRL_MERGES = ["a t</w>", "h e</w>", "t he</w>", "c at</w>", "m at</w>", "p ar", "s at</w>", "i s</w>", "par is</w>"]
CTRL_PIECES = [
    *("<unk>", "the", "cat", "sat", "mat", "paris", "is", "at", "he", "par@@", *LETTERS),
    *(f"{letter}@@" for letter in LETTERS),
]
CTRL = {
    "vocab.json": json.dumps({piece: token for token, piece in enumerate(CTRL_PIECES)}),
    "merges.txt": "\n".join(["#version: 0.2", *CTRL_MERGES, ""]),
}
FAIRSEQ = {
    "vocab.txt": "".join(f"{piece} 7\n" for piece in CTRL_PIECES[1:]),
    "bpe.codes": "".join(f"{merge} 12\n" for merge in CTRL_MERGES),
}
FAIRSEQ_MASK = 4 + len(CTRL_PIECES) - 1


def token(content: str, *, special: bool = False, normalized: bool = False, **flags: bool) -> dict[str, Any]:
    """An added token as tokenizer_config.json writes it."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False}
    return plain | {"content": content, "special": special, "normalized": normalized} | flags


def trained(**options: Any) -> bytes:
    model = io.BytesIO()
    texts = [*CORPUS, *(["Café naïve 1,234 5, 6,7 1,2 3,4"] * 3)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=400, minloglevel=2, **options
    )
    return model.getvalue()


def bytes_of(*special: str) -> dict[str, str]:
    learned = tokenizers.ByteLevelBPETokenizer()
    learned.train_from_iterator(CORPUS, vocab_size=330, special_tokens=list(special), show_progress=False)
    content = json.loads(learned.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in content["merges"]]
    return {"vocab.json": json.dumps(content["vocab"]), "merges.txt": "\n".join(["#version: 0.2", *merges, ""])}


@pytest.fixture(scope="module")
def files() -> dict[str, Mapping[str, str | bytes]]:
    """The files of each kind."""
    cls_sep = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    albert = trained(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"])
    xlnet = trained(control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"])
    return {
        "wordpiece": WORDPIECE,
        "wordpiece_crlf": {"vocab.txt": WORDPIECE["vocab.txt"].replace("\n", "\r\n")},
        "roberta": bytes_of("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
        "gpt2": bytes_of("<|endoftext|>"),
        "gpt1": {
            "vocab.json": json.dumps(
                {
                    piece: number
                    for number, piece in enumerate(
                        [
                            "<unk>",
                            *LETTERS,
                            *(f"{x}</w>" for x in LETTERS + ".,'"),
                            "at</w>",
                            "cat</w>",
                            "th",
                            "the</w>",
                        ]
                    )
                }
            ),
            "merges.txt": "#version: 0.2\na t</w>\nc at</w>\nt h\nth e</w>\n",
        },
        "ctrl": CTRL,
        "fairseq_bpe": FAIRSEQ,
        "albert": {"spiece.model": albert},
        "xlnet": {"spiece.model": xlnet},
        "t5": {"spiece.model": trained(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)},
        "deberta": {"spm.model": trained(pad_id=0, bos_id=1, eos_id=2, unk_id=3, **cls_sep)},
        "fairseq": {"sentencepiece.bpe.model": trained()},
        "none": {},
    }


E1 = {"additional_special_tokens": ["[E1]", "[/E1]"]}
BERT, DEBERTA2, GPT2 = ({"tokenizer_class": f"{name}Tokenizer"} for name in ("Bert", "DebertaV2", "GPT2"))
# name -> (files, tokenizer_config.json, added_tokens.json, config.json, the family that writes it again)
FOLDERS: dict[str, tuple[str, dict[str, Any] | None, dict[str, int] | None, str | None, str]] = {
    "bert by its class": ("wordpiece", BERT, None, None, "bert"),
    "bert by its model": ("wordpiece", None, None, "bert", "bert"),
    "bert cased": ("wordpiece", BERT | {"do_lower_case": False}, None, None, "bert"),
    "bert with accents": ("wordpiece", BERT | {"strip_accents": False}, None, None, "bert"),
    "electra, Chinese in words": (
        "wordpiece",
        {"tokenizer_class": "ElectraTokenizerFast", "tokenize_chinese_chars": False},
        None,
        None,
        "electra",
    ),
    "bert with CRLF": ("wordpiece_crlf", BERT, None, None, "bert"),
    "bert with added_tokens.json": (
        "wordpiece",
        BERT | E1,
        {"[E1]": SIZE, "[/E1]": SIZE + 1, "covid": SIZE + 2},
        None,
        "bert",
    ),
    "bert with a decoder": (
        "wordpiece",
        BERT
        | E1
        | {
            "added_tokens_decoder": {
                str(SIZE): token("[E1]", special=True),
                str(SIZE + 1): token("[/E1]", special=True),
                str(SIZE + 2): token("covid", normalized=True),
                str(SIZE + 3): token("<e>", special=True, lstrip=True, single_word=True),
            }
        },
        None,
        None,
        "bert",
    ),
    "bert with markers without ids": ("wordpiece", BERT | E1, None, None, "bert"),
    "bert with a piece as a word": (
        "wordpiece",
        BERT | {"added_tokens_decoder": {str(PIECES.index("cat")): token("cat", normalized=True)}},
        None,
        None,
        "bert",
    ),
    "bert with a used unused": ("wordpiece", BERT | {"additional_special_tokens": ["[unused1]"]}, None, None, "bert"),
    "roberta": ("roberta", None, None, "roberta", "roberta"),
    "roberta with a blank before": (
        "roberta",
        {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True},
        None,
        None,
        "roberta",
    ),
    "bart with a blank before": (
        "roberta",
        {"tokenizer_class": "BartTokenizer", "add_prefix_space": True},
        None,
        None,
        "bart",
    ),
    "gpt2": ("gpt2", None, None, "gpt2", "gpt2"),
    "gpt2 with padding": ("gpt2", GPT2 | {"pad_token": "[PAD]"}, {"[PAD]": 330}, None, "gpt2"),
    "gpt2 with words": ("gpt2", GPT2, {"covid": 330, "snow": 331}, None, "gpt2"),
    "gpt1": ("gpt1", None, None, "openai-gpt", "openai-gpt"),
    "ctrl": ("ctrl", None, None, "ctrl", "ctrl"),
    "ctrl with padding": (
        "ctrl",
        {"tokenizer_class": "CTRLTokenizer", "pad_token": "<pad>", "additional_special_tokens": ["<e>"]},
        {"<pad>": len(CTRL_PIECES), "<e>": len(CTRL_PIECES) + 1},
        None,
        "ctrl",
    ),
    "phobert": ("fairseq_bpe", {"tokenizer_class": "PhobertTokenizer"}, None, None, "roberta"),
    "bertweet with a marker": (
        "fairseq_bpe",
        {
            "tokenizer_class": "BertweetTokenizer",
            "additional_special_tokens": ["<e>"],
            "added_tokens_decoder": {
                **{str(i): token(name, special=True) for i, name in enumerate(("<s>", "<pad>", "</s>", "<unk>"))},
                str(FAIRSEQ_MASK): token("<mask>", special=True),
                str(FAIRSEQ_MASK + 1): token("<e>", special=True),
            },
        },
        None,
        None,
        "roberta",
    ),
    "albert": ("albert", None, None, "albert", "albert"),
    "albert cased": ("albert", {"tokenizer_class": "AlbertTokenizer", "do_lower_case": False}, None, None, "albert"),
    "albert with accents": (
        "albert",
        {"tokenizer_class": "AlbertTokenizer", "keep_accents": True},
        None,
        None,
        "albert",
    ),
    "xlnet": ("xlnet", None, None, "xlnet", "xlnet"),
    "xlnet uncased": ("xlnet", {"tokenizer_class": "XLNetTokenizer", "do_lower_case": True}, None, None, "xlnet"),
    "t5": ("t5", None, None, "t5", "t5"),
    "t5 whose file has no sentinels": ("t5", {"tokenizer_class": "T5Tokenizer"}, None, None, "t5"),
    "t5 with ten sentinels": ("t5", {"tokenizer_class": "T5Tokenizer", "extra_ids": 10}, None, None, "t5"),
    "mt5": (
        "t5",
        {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": None},
        None,
        None,
        "t5",
    ),
    "deberta-v2": ("deberta", None, None, "deberta-v2", "deberta-v2"),
    "deberta-v2 uncased": ("deberta", DEBERTA2 | {"do_lower_case": True}, None, None, "deberta-v2"),
    "deberta-v2 with markers": (
        "deberta",
        DEBERTA2 | E1,
        {"[MASK]": 400, "[E1]": 401, "[/E1]": 402},
        None,
        "deberta-v2",
    ),
    "xlm-roberta with a marker": (
        "fairseq",
        {"tokenizer_class": "XLMRobertaTokenizer", "additional_special_tokens": ["<e>"]},
        None,
        None,
        "xlm-roberta",
    ),
    "mbart": ("fairseq", None, None, "mbart", "mbart"),
    "byt5": ("none", {"tokenizer_class": "ByT5Tokenizer"}, None, None, "t5"),
    "byt5 with a marker": (
        "none",
        {
            "tokenizer_class": "ByT5Tokenizer",
            "extra_ids": 5,
            "additional_special_tokens": [*(f"<extra_id_{i}>" for i in range(5)), "<e>"],
        },
        None,
        None,
        "t5",
    ),
}


def write(directory: Path, files: Mapping[str, str | bytes], **contents: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, content in contents.items():
        if content is not None:
            (directory / f"{name}.json").write_text(json.dumps(content))
    return directory


def assert_same(ours: Tokenizer, theirs: Any) -> None:
    for text in [*TEXTS, *MARKED]:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text) == expected, text
        assert ours.encode_with_offsets([text])[0].ids == expected, text
    assert ours.vocabulary.size == len(theirs)
    for role in ("pad", "mask", "unk"):
        here, there = getattr(ours.vocabulary, role), getattr(theirs, f"{role}_token_id")
        assert here == there or (role == "unk" and here is None), role


@pytest.mark.parametrize("name", FOLDERS)
def test_ids_are_those_of_the_class(files, name, tmp_path):
    kind, config, added, model_type, family = FOLDERS[name]
    model = None if model_type is None else {"model_type": model_type}
    folder = write(tmp_path / "given", files[kind], tokenizer_config=config, added_tokens=added, config=model)
    ours, theirs = load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    assert_same(ours, theirs)
    mask = ours.special_names.get(ours.vocabulary.mask)
    if mask is not None:
        expected = theirs(f"the {mask} of", add_special_tokens=False)["input_ids"]
        if "albert" not in kind and name != "deberta-v2 with markers":  # there a blank before the mask is a piece
            assert ours.encode(f"the {mask} of", special=True) == expected
    ours.save(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert again.fingerprint == ours.fingerprint and again.markers == ours.markers
    assert [again.encode(text) for text in [*TEXTS, *MARKED]] == [ours.encode(text) for text in [*TEXTS, *MARKED]]
    save_tokenizer(ours, tmp_path / "written", FAMILIES[family].tokenizer, 64)
    written = transformers.AutoTokenizer.from_pretrained(tmp_path / "written")
    for text in TEXTS + MARKED:
        assert written(text, add_special_tokens=False)["input_ids"] == ours.encode(text), text
    assert [load_tokenizer(tmp_path / "written").encode(text) for text in TEXTS] == [
        ours.encode(text) for text in TEXTS
    ]


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("wordpiece", {"tokenizer_class": "BertJapaneseTokenizer"}, "the class BertJapaneseTokenizer, which plmjax"),
        ("wordpiece", {"tokenizer_class": "BertTokenizer", "do_basic_tokenize": False}, "do_basic_tokenize"),
        ("wordpiece", {"tokenizer_class": "AlbertTokenizer"}, "no file of the tokenizer that its files name"),
        ("gpt2", {"tokenizer_class": "FlaubertTokenizer"}, "the class FlaubertTokenizer, which plmjax does not read"),
        ("gpt2", {"tokenizer_class": "CLIPTokenizer"}, "the class CLIPTokenizer, which plmjax does not read"),
        ("fairseq", {"tokenizer_class": "CamembertTokenizer"}, "the class CamembertTokenizer, which plmjax"),
        ("deberta", {"tokenizer_class": "DebertaV2Tokenizer", "split_by_punct": True}, "split_by_punct"),
        ("fairseq_bpe", {"tokenizer_class": "BertweetTokenizer", "normalization": True}, "normalization"),
        (
            "wordpiece",
            {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"3": token("[CLS]", special=True)}},
            r"give the token '\[CLS\]' the id 3",
        ),
    ],
)
def test_what_no_class_here_does_is_refused(files, kind, config, message, tmp_path):
    with pytest.raises(UnreadTokenizerError, match=message):
        load_tokenizer(write(tmp_path, files[kind], tokenizer_config=config))


def test_merges_without_a_class_are_known_by_their_pieces(files, tmp_path):
    for kind, config in (("gpt1", "openai-gpt"), ("ctrl", "ctrl"), ("gpt2", "gpt2")):
        bare = load_tokenizer(write(tmp_path / kind, files[kind]))
        stated = load_tokenizer(write(tmp_path / config, files[kind], config={"model_type": config}))
        assert [bare.encode(text) for text in TEXTS] == [stated.encode(text) for text in TEXTS]


def test_tokenizer_json_has_the_settings_of_the_file_beside_it(files, tmp_path):
    for cls, kind, settings in (
        ("BertTokenizer", "wordpiece", ({"do_lower_case": False}, {"do_lower_case": True}, {"strip_accents": False})),
        ("GPT2Tokenizer", "gpt2", ({"add_prefix_space": True}, {})),
    ):
        folder = write(tmp_path / cls, files[kind], tokenizer_config={"tokenizer_class": cls})
        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
        (folder / "special_tokens_map.json").unlink()
        for setting in settings:
            write(folder, {}, tokenizer_config={"tokenizer_class": cls, **E1, **setting})
            assert_same(load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder))


def test_markers_are_a_setting(files, tmp_path):
    """Names of special tokens in a text are text, but for those that the checkpoint was fine-tuned with."""
    folder = write(tmp_path, files["wordpiece"], tokenizer_config=BERT | E1)
    marked = load_tokenizer(folder)
    assert marked.markers == ("[E1]", "[/E1]")
    plain, one = marked.with_markers(()), marked.with_markers(["[E1]"])
    first, last = (marked.vocabulary.named[name] for name in marked.markers)
    text = "the [E1] cat [/E1] sat"
    assert {first, last} <= set(marked.encode(text)) and not {first, last} & set(plain.encode(text))
    assert first in one.encode(text) and last not in one.encode(text)
    assert len({marked.fingerprint, plain.fingerprint, one.fingerprint}) == 3
    assert plain.with_markers(marked.markers).fingerprint == marked.fingerprint
    assert marked.vocabulary.mask not in marked.encode("the [MASK] cat")  # roles stay text
    with pytest.raises(UserError, match=r"markers has '\[E2\]', which is no special token"):
        marked.with_markers(["[E2]"])


def test_a_line_separator_is_a_piece(files, tmp_path):
    """google-bert/bert-base-chinese has U+2028 in its vocabulary: each id is the number of its line."""
    ours = load_tokenizer(write(tmp_path, files["wordpiece"]))
    assert [ours.piece(token) for token in range(SIZE)] == PIECES


@pytest.mark.parametrize("kind", ["wordpiece", "gpt2", "t5", "albert", "fairseq", "ctrl"])
def test_half_a_surrogate_pair_is_the_replacement_character(files, kind, tmp_path):
    model = {"fairseq": "xlm-roberta", "t5": "t5", "albert": "albert"}.get(kind)
    ours = load_tokenizer(write(tmp_path, files[kind], config={"model_type": model}))
    broken, replaced = "the cat \ud83d sat", "the cat \ufffd sat"
    assert ours.encode(broken) == ours.encode(replaced)
    assert ours.encode_with_offsets([broken]) == ours.encode_with_offsets([replaced])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config.json", "[1]"),
        ("tokenizer_config.json", "{"),
        ("tokenizer_config.json", json.dumps({"added_tokens_decoder": {"a": {"content": "x"}}})),
        ("tokenizer_config.json", json.dumps({"added_tokens_decoder": {"1": {"special": True}}})),
        ("tokenizer_config.json", json.dumps({"added_tokens_decoder": ["x"]})),
        ("tokenizer_config.json", json.dumps({"additional_special_tokens": 3})),
        ("added_tokens.json", json.dumps({"x": "y"})),
        ("special_tokens_map.json", "null"),
    ],
)
def test_damaged_files_beside_a_tokenizer(files, file, content, tmp_path):
    folder = write(tmp_path, files["wordpiece"])
    (folder / file).write_text(content)
    with pytest.raises(UserError, match=str(tmp_path)):
        load_tokenizer(folder)


def test_llamas_model_is_read_as_its_own_class_does(tmp_path):
    """The fast class takes for granted that the model does not normalise, as the published ones do not."""
    model = trained(model_type="bpe", byte_fallback=True, hard_vocab_limit=False)
    folder = write(tmp_path, {"tokenizer.model": model}, tokenizer_config={"tokenizer_class": "LlamaTokenizer"})
    ours, theirs = load_tokenizer(folder), transformers.LlamaTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"], text


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_without_its_files_says_which_they_are(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    with pytest.raises(UnreadTokenizerError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value).endswith(f", {name}: put {CLASSES[name].names} there.")
    assert not set("\\()|*?") & set(CLASSES[name].names)
