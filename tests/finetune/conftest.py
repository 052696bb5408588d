"""One tokenizer and one encoder for all tests of the room."""

import pytest

from plmjax.data.tokenizers.base import Tokenizer
from plmjax.interop import Pretrained
from tests.finetune.kit import checkpoint, tokenizer_in
from tests.train.conftest import compiled_programs  # noqa: F401


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_in(str(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="session")
def encoder(tokenizer: Tokenizer) -> Pretrained:
    return checkpoint(tokenizer)
