"""Control codes: from JSON lines to the store, to windows, to a loss that the code has no part in."""

import json

import jax
import numpy as np
import pytest

from plmjax.data.store.prepare import PrepareOptions, prepare
from plmjax.data.windows import Chunks, CodedChunks
from plmjax.decode.attribution import _chunks, attribute
from plmjax.errors import UserError
from plmjax.modules.gpt import GPTConfig
from plmjax.objectives import ConditionalLM
from tests.data.conftest import make_documents
from tests.objectives.conftest import bound

CODES = ("Horror", "Reviews Rating: 5.0", "Books")
LENGTH = 24


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("codes") / "coded.jsonl"
    texts = ["\n\n".join(paragraphs) for paragraphs in make_documents(90)]
    lines = [{"text": text, "source": CODES[number % 3]} for number, text in enumerate(texts)]
    lines.insert(5, {"text": "\u0001", "source": CODES[0]})  # gives no token, so that it is no document
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def store(source, tmp_path_factory):
    options = PrepareOptions(
        (str(source),), code_field="source", vocab_size=370, validation_fraction=0.2, normalization="nmt_nfkc"
    )
    return prepare(options, tmp_path_factory.mktemp("store") / "s", progress=False)


def test_the_store_knows_each_documents_code(store, source):
    by_text = {}
    for line in source.read_text().splitlines():
        record = json.loads(line)
        by_text[" ".join(record["text"].split())] = record["source"]
    assert list(store.manifest["codes"]) == sorted(CODES)
    for name in ("train", "validation"):
        split = store.split(name)
        names = list(split.codes)
        assert {code: store.tokenizer.decode(tokens) for code, tokens in split.codes.items()} == {c: c for c in CODES}
        for index in range(split.documents):
            text = " ".join(store.tokenizer.decode(split.document(index).tolist()).split())
            assert by_text[text] == names[split.document_codes[index]]


def test_a_window_is_a_code_and_its_texts_alone(store):
    split, vocabulary = store.split("train"), store.vocabulary
    windows = CodedChunks().build(split, vocabulary, LENGTH + 1, 0)
    streams = dict.fromkeys(split.codes, ())
    for index in range(split.documents):
        code = list(split.codes)[split.document_codes[index]]
        streams[code] += (*split.document(index).tolist(), vocabulary.eos)
    found = dict.fromkeys(split.codes, ())
    for window in (windows[index] for index in range(len(windows))):
        given = int(window["given"])
        code = next(c for c, tokens in split.codes.items() if window["tokens"][:given].tolist() == tokens)
        part = tuple(window["tokens"][given:].tolist())
        # The first token of a chunk was the last of the one before.
        assert not found[code] or found[code][-1] == part[0]
        found[code] += part[1:] if found[code] else part
    for code, stream in streams.items():
        assert found[code] == stream[: len(found[code])]
        assert len(stream) - len(found[code]) < LENGTH


def test_the_code_is_read_and_not_predicted(store):
    objective = ConditionalLM()
    windows = objective.windows(store.split("train"), store.vocabulary, LENGTH, 0)
    for index in (0, len(windows) - 1):
        window = windows[index]
        example = objective.corrupt(jax.random.key(0), dict(window), store.vocabulary)
        given = int(window["given"])
        assert example["weights"].tolist() == [0.0] * (given - 1) + [1.0] * (LENGTH - given + 1)
        np.testing.assert_array_equal(example["targets"], window["tokens"][1:])


def test_sources_by_the_rule_of_bayes(store):
    network = bound(GPTConfig(vocab_size=512, num_layers=1, num_heads=2, d_model=16, d_ff=32, max_positions=LENGTH))
    split = store.split("train")
    tokens = split.document(0)[:40]
    text = store.tokenizer.decode(tokens.tolist())
    assert store.tokenizer.encode(text) == tokens.tolist()
    prior = {code: number + 1.0 for number, code in enumerate(split.codes)}
    sources = attribute(network, store.tokenizer, text, split.codes, prior, LENGTH)
    run = jax.jit(lambda tokens: network.token_logits(network.decode(tokens)))
    logits = {}
    for name, code in split.codes.items():
        total, step = 0.0, LENGTH - len(code)
        for place in range(len(tokens)):
            start = 0 if place == 0 else (place - 1) // step * step
            context = [*code, *tokens[start:place]]
            padded = np.array([context + [0] * (LENGTH - len(context))])
            scores = run(padded)[0, len(context) - 1, : store.vocabulary.size]
            total += float(jax.nn.log_softmax(scores)[tokens[place]])
        assert next(s.nats for s in sources if s.code == name) == pytest.approx(-total / len(tokens), rel=1e-4)
        logits[name] = total + np.log(prior[name] / 6)
    weights = {name: np.exp(value - max(logits.values())) for name, value in logits.items()}
    assert [s.code for s in sources] == sorted(weights, key=weights.__getitem__, reverse=True)
    for source in sources:
        assert source.probability == pytest.approx(weights[source.code] / sum(weights.values()), rel=2e-3)


@pytest.mark.parametrize("count", [1, 2, 20, 21, 22, 40, 41, 100])
def test_every_token_is_scored_once(count):
    code, tokens = np.array([1, 2, 3]), np.arange(10, 10 + count)
    rows, scored = _chunks(code, tokens, 23)
    assert rows[:, 1:][scored].tolist() == tokens.tolist()


def test_what_has_no_code(store, source, tmp_path, split, vocabulary):
    with pytest.raises(UserError, match="coded.jsonl:1 has None in the field 'domain', not a control code"):
        prepare(PrepareOptions((str(source),), code_field="domain"), tmp_path / "a", progress=False)
    text = tmp_path / "a.txt"
    text.write_text("Some text.")
    with pytest.raises(UserError, match="code_field is 'source', but .*a.txt' is not a .jsonl file"):
        prepare(PrepareOptions((str(text),), code_field="source"), tmp_path / "b", progress=False)
    with pytest.raises(UserError, match="The train split has no control codes"):
        CodedChunks().build(split, vocabulary, 20, 0)
    with pytest.raises(UserError, match="'Reviews Rating: 5.0' has .* tokens, which leave no room for text in 3"):
        CodedChunks().build(store.split("train"), store.vocabulary, 4, 0)
    with pytest.raises(UserError, match="windows of Chunks do not have; choose CodedChunks"):
        ConditionalLM(window=Chunks(overlap=1)).check(GPTConfig(vocab_size=512), "decoder", store.vocabulary, LENGTH)
    with pytest.raises(UserError, match="has no token"):
        attribute(None, store.tokenizer, " ", {}, {}, LENGTH)
