"""Names of the hub, fetched from a server on this machine."""

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

import plmjax
from plmjax.errors import UserError
from plmjax.interop import load_huggingface, save_huggingface
from plmjax.interop.hub import local_path
from plmjax.interop.initial import load_source
from plmjax.interop.native import load
from plmjax.modules.bert import BertConfig
from tests.interop.test_files import assert_same_params, fresh

NAME, COMMIT = "someone/tiny-bert", "0123456789abcdef0123456789abcdef01234567"
NOBODY = "http://127.0.0.1:9"  # where nothing listens
BERT = BertConfig(vocab_size=37, max_positions=9, num_layers=1, num_heads=2, d_model=12, d_ff=14, heads=("token",))


class Hub(BaseHTTPRequestHandler):
    """Answers what `huggingface_hub` asks for one model in `folder`."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        """Sends the headers of an answer."""
        self._answer(whole=False)

    def do_GET(self) -> None:
        """Sends an answer."""
        self.asked.append(self.path)
        self._answer(whole=True)

    def _answer(self, whole: bool) -> None:
        files = {file.name: file.read_bytes() for file in self.folder.iterdir()} | {"onnx/model.json": b"{}"}
        path = self.path.partition("?")[0]
        if path in (f"/api/models/{NAME}/revision/{name}" for name in ("main", "v1", COMMIT)):
            siblings = [{"rfilename": name} for name in files]
            self._send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode(), whole)
        elif path == f"/api/models/{NAME}/tree/{COMMIT}":  # which releases from 1 on ask for
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            self._send(json.dumps(entries).encode(), whole)
        elif (name := path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")) in files:
            self._send(files[name], whole)
        elif path.startswith("/api/models/someone/gated"):
            self._refuse(403, "GatedRepo")
        elif path.startswith(f"/api/models/{NAME}/revision/"):
            self._refuse(404, "RevisionNotFound")
        else:
            self._refuse(404, "RepoNotFound")

    def _send(self, content: bytes, whole: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if whole:
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Hub.folder, Hub.asked[:] = tmp_path / "hub", []
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Hub
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{COMMIT}"])
def test_a_name_is_fetched_once(hub: type[Hub], revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fresh(BERT, "BertForMaskedLM", pad_token_id=0)
    save_huggingface(source, hub.folder)
    for loader in (load_huggingface, load, plmjax.load):
        assert_same_params(source, loader(NAME + revision))
    assert sum(path.endswith("model.safetensors") for path in hub.asked) == 1
    assert not any("onnx" in path for path in hub.asked)
    assert load_source(NAME + revision, "--init_from").config == BERT
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)  # what is in the cache needs no network
    assert_same_params(source, load_huggingface(NAME + revision))


def test_weights_of_torch_are_fetched_where_there_are_no_others(hub: type[Hub]) -> None:
    torch = pytest.importorskip("torch")
    from plmjax.interop.tensors import read_tensors

    source = fresh(BERT, "BertForMaskedLM", pad_token_id=0)
    save_huggingface(source, hub.folder)
    tensors = {name: torch.tensor(value.copy()) for name, value in read_tensors(hub.folder).items()}
    torch.save(tensors, hub.folder / "pytorch_model.bin")
    (hub.folder / "model.safetensors").unlink()
    assert_same_params(source, load_huggingface(NAME))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{NAME}@v9", "has no revision 'v9' on the hub"),
        ("someone/nothing", "There is no folder someone/nothing, and the hub has no model of that name"),
        ("someone/gated", "may be read on the hub by those alone who have asked"),
    ],
)
def test_what_the_hub_lacks(hub: type[Hub], name: str, message: str) -> None:
    hub.folder.mkdir()
    with pytest.raises(UserError, match=message):
        load_huggingface(name)


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no folder a/b, and the hub can't be reached to fetch it"):
        load_huggingface("a/b")


def test_paths_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder counts before a name, and so does one that is not there in a folder that is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for path in ("runs/bert", "./a/b", "/a/b", "a/b/c", "a", "a/", "~/a", "a/b@", Path("a/b")):
        assert local_path(path) == Path(path).expanduser()
