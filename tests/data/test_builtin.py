import sys

import pytest

from plmjax.data.sources import builtin

DOCSTRING = """Computes the mean of the values, in `float32` and with :func:`~numpy.mean`.

    It is *not* the median. See ``numpy`` for more, and `the guide <https://example.org>`_ for all the rest.

    >>> this is an example that should go away from the text.

    - a list of things that is no running text either.

    Parameters
    ----------
    values : array
        The values that are meant, in a list of parameters.

    Notes
    -----
    Notes are prose too, so they stay in the corpus.

        indented_code = is_not(prose)

    Args:
      x: An argument of a function that is described here.
    """


def test_prose_keeps_running_text_without_markup():
    assert list(builtin.prose(DOCSTRING)) == [
        "Computes the mean of the values, in float32 and with numpy.mean.",
        "It is not the median. See numpy for more, and the guide for all the rest.",
        "Notes are prose too, so they stay in the corpus.",
    ]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('"""Module."""\nx = 1\n', ["Module."]),
        ("# a comment\n\n'''Module.'''\n", ["Module."]),
        ('def f(x):  # why\n    """F."""\n    y = """no"""\n', ["F."]),
        ('class C:\n\n    r"""C \\alpha."""\n', ["C \\alpha."]),
        ('x = """no"""\n', []),
        ('call(\n    """no"""\n)\n', []),
    ],
)
def test_docstrings_are_found_without_parsing(code, found):
    assert [text for _, _, text in builtin.DOCSTRING.findall(code)] == found


@pytest.fixture(scope="module")
def corpus():
    return builtin.corpus()


def test_corpus_is_prose_of_the_expected_size(corpus):
    characters = sum(len(paragraph) for document in corpus for paragraph in document.paragraphs)
    assert 2_000_000 < characters < 5_000_000
    assert 1_000 < len(corpus) < 2_500
    paragraphs = [paragraph for document in corpus for paragraph in document.paragraphs]
    assert len(set(paragraphs)) == len(paragraphs)
    assert not any(">>>" in paragraph or "\n" in paragraph for paragraph in paragraphs)
    assert len({document.id for document in corpus}) == len(corpus)


def test_corpus_imports_nothing(corpus):
    assert "turtle" not in sys.modules and any(document.id == "python/turtle.py" for document in corpus)


def test_source_counts_its_documents(corpus, monkeypatch):
    monkeypatch.setattr(builtin, "corpus", lambda: corpus)
    source = builtin.BuiltinSource()
    assert list(source.documents()) == corpus
    assert source.done == source.total == len(corpus)
    again = builtin.BuiltinSource().describe()
    assert source.describe() == again and len(again["sha256"]) == 64
