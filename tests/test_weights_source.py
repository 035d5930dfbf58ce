"""Where an encoder starts from. The Hub is a small server on this machine; the real one is never asked."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.config import ModelConfig
from core.errors import LabError
from core.models import load_weights
from core.models.build import build_model
from core.models.hub_client import MAX_WEIGHTS_BYTES
from core.models.load_weights import load_encoder
from core.models.weights_source import fetch_weights, find_weights, local_weights
from core.paths import PROJECT

VIT = ModelConfig(family="vit", encoder="vit_tiny_patch16_224")
REPO = "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_hub_is_off_in_these_tests():
    assert huggingface_hub.constants.HF_HUB_OFFLINE


# ---- without the Hub


def test_none_is_scratch(lab_folders):
    (lab_folders.weights / "tf_efficientnet_lite0.safetensors").write_bytes(b"")
    source = find_weights(ModelConfig(weights="none"))
    assert (source.kind, source.pretrained, source.path) == ("scratch", False, None)


def test_a_plain_unet_is_always_scratch(lab_folders):
    assert find_weights(ModelConfig(family="unet", encoder="plain", weights="pretrained")).kind == "scratch"


@pytest.mark.parametrize("weights", ["auto", "pretrained"])
def test_a_file_of_the_weights_folder_is_taken(lab_folders, weights):
    path = lab_folders.weights / "tf_efficientnet_lite0_imagenet.safetensors"
    path.write_bytes(b"")
    source = find_weights(ModelConfig(weights=weights))
    assert (source.kind, source.path, source.pretrained) == ("file", path, True)
    assert path.name in source.sentence
    assert fetch_weights(source) == path


def test_auto_goes_on_from_scratch_and_says_so(lab_folders):
    source = find_weights(ModelConfig(weights="auto"))
    assert source.kind == "scratch" and not source.pretrained
    assert source.sentence.startswith(
        "Starts from scratch: no tf_efficientnet_lite0*.safetensors in the weights folder"
    )


def test_pretrained_insists(lab_folders):
    with pytest.raises(LabError, match="tf_efficientnet_lite0.*Go online, put the file there, or choose"):
        find_weights(ModelConfig(weights="pretrained"))


@pytest.mark.parametrize(
    ("file", "encoder", "fits"),
    [
        ("resnet18.safetensors", "resnet18", True),
        ("resnet18_imagenet.safetensors", "resnet18", True),
        ("resnet18.a1_in1k.safetensors", "resnet18", True),
        ("resnet18d.safetensors", "resnet18", False),
        ("my_resnet18.safetensors", "resnet18", False),
        ("resnet18.pth", "resnet18", False),
    ],
)
def test_a_file_belongs_to_the_encoder_it_is_named_after(lab_folders, file, encoder, fits):
    (lab_folders.weights / file).write_bytes(b"")
    assert (local_weights(encoder) is not None) == fits


def test_no_weights_folder_is_no_file(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(lab_folders.other / "nothing"))
    assert local_weights("resnet18") is None


def test_a_named_file_is_taken(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"")
    source = find_weights(ModelConfig(weights=str(path)))
    assert (source.kind, source.path) == ("file", path)


@pytest.mark.parametrize(
    "text",
    [
        "/nosuch/file.safetensors",
        "model.pth",
        "/etc/passwd",
        "/tmp",
        "Auto",
        "~nosuchuser/a.safetensors",
        "x" * 300 + ".safetensors",
        "a\0b.safetensors",
        "https://example.org/a.safetensors",
    ],
)
def test_what_is_no_weights_file_is_a_sentence(text):
    with pytest.raises(LabError, match="weights"):
        find_weights(ModelConfig(weights=text))


# ---- with a Hub on this machine


class Hub:
    """As much of the Hugging Face Hub as finding and downloading one file needs."""

    def __init__(self, content):
        self.content = content
        self.requests = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.respond(with_body=False)

            def do_GET(self):
                self.respond(with_body=True)

            def respond(self, with_body):
                hub.requests.append((self.command, self.path.split("?")[0]))
                if self.path.startswith(f"/api/models/{REPO}"):
                    body = json.dumps(
                        {"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": [{"rfilename": "model.safetensors"}]}
                    ).encode()
                elif self.path == f"/{REPO}/resolve/{COMMIT}/model.safetensors":
                    body = hub.content
                else:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "RepoNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory):
    """The weights that the stand-in Hub serves: an encoder's and a classifier's."""
    torch.manual_seed(5)
    tensors = {name: value.clone() for name, value in build_model(VIT, 3).encoder.state_dict().items()}
    path = tmp_path_factory.mktemp("hub") / "model.safetensors"
    save_file(tensors | {"head.weight": torch.zeros(10, 192)}, path)
    return path


@pytest.fixture
def hub(vit_file):
    hub = Hub(vit_file.read_bytes())
    yield hub
    hub.close()


PROGRAM = """
import json, os, sys
import core.models.weights_source
from core.config import ModelConfig
from core.errors import LabError
from core.models.weights_source import fetch_weights, find_weights
core.models.weights_source.MAX_WEIGHTS_BYTES = int(sys.argv[2])
try:
    source = find_weights(ModelConfig(family="vit", encoder="vit_tiny_patch16_224", weights=sys.argv[1]))
    told = []
    path = str(fetch_weights(source, lambda *counts: told.append(counts))) if source.pretrained else None
    print(json.dumps({"kind": source.kind, "sentence": source.sentence, "path": path, "revision": source.revision, "told": told}))
except LabError as error:
    print(json.dumps({"error": str(error)}))
"""


def ask(weights, home, endpoint, offline=False, max_bytes=MAX_WEIGHTS_BYTES):
    """Finds and fetches in a process of its own: the Hub's client reads its settings when it is imported."""
    environment = os.environ | {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, weights, str(max_bytes)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_weights_are_downloaded_and_then_taken_from_the_cache(lab_folders, hub, vit_file):
    home = lab_folders.other / "hf"
    result = ask("auto", home, hub.address)
    assert result["kind"] == "hub"
    assert (
        result["sentence"]
        == f"Starts from pretrained weights, {REPO} on the Hugging Face Hub at revision {COMMIT[:8]}."
    )
    assert ("GET", f"/{REPO}/resolve/{COMMIT}/model.safetensors") in hub.requests, "the revision that was looked up"
    assert result["revision"] == COMMIT
    assert result["told"][-1] == [vit_file.stat().st_size] * 2, "progress goes on to the last byte"

    torch.manual_seed(0)
    encoder = build_model(VIT, 3).encoder
    assert load_encoder(
        encoder, fetch_weights(find_weights(ModelConfig(weights=copied(result["path"], lab_folders))))
    ).unused == ("head.weight",)
    served = load_file(vit_file)
    assert all(torch.equal(value, served[name]) for name, value in encoder.state_dict().items())

    hub.close()
    for offline in (False, True):
        for weights in ("pretrained", f"hub:{REPO}@{COMMIT}"):
            again = ask(weights, home, hub.address, offline)
            assert (again["kind"], again["path"]) == ("hub", result["path"])


def test_weights_that_are_too_large_are_refused_before_they_come(lab_folders, hub):
    named = f"hub:{REPO}@{COMMIT}"
    result = ask(named, lab_folders.other / "hf", hub.address, max_bytes=len(hub.content) - 1)
    assert "no network of this lab has more than" in result["error"] and "choose weights 'none'" in result["error"]
    assert {method for method, path in hub.requests if path.endswith(".safetensors")} == {"HEAD"}


def test_of_a_file_only_what_the_encoder_wants_is_read(vit_file, tmp_path, monkeypatch):
    read = []

    class Watched:
        def __init__(self, path, framework):
            self._file = safe_open(path, framework)
            self.keys, self.get_slice = self._file.keys, self._file.get_slice

        def get_tensor(self, name):
            read.append(name)
            return self._file.get_tensor(name)

    monkeypatch.setattr(load_weights, "safe_open", Watched)
    encoder = build_model(VIT, 3).encoder
    assert load_encoder(encoder, vit_file).unused == ("head.weight",)
    assert sorted(read) == sorted(encoder.state_dict())
    read.clear()
    first = next(iter(encoder.state_dict()))
    save_file(load_file(vit_file) | {first: torch.zeros(1000, 1000)}, tmp_path / "huge.safetensors")
    with pytest.raises(LabError, match=f"{first} is .1000, 1000., but must be"):
        load_encoder(encoder, tmp_path / "huge.safetensors")
    assert first not in read


def test_an_encoder_the_lab_has_no_repository_for_is_said_as_that(lab_folders, monkeypatch):
    monkeypatch.setattr("core.models.weights_source.hub_revision", lambda repo: pytest.fail("nobody is to be asked"))
    result = find_weights(ModelConfig(family="unet", encoder="resnet34"))
    assert "the lab knows no repository of it on the Hugging Face Hub" in result.sentence
    with pytest.raises(LabError, match="Put the file there, or choose weights 'none'"):
        find_weights(ModelConfig(family="unet", encoder="resnet34", weights="pretrained"))


@pytest.mark.parametrize("text", [f"hub:{REPO}", f"hub:{REPO}@main", f"hub:{REPO}@{COMMIT[:8]}", f"hub:../x@{COMMIT}"])
def test_a_file_of_the_hub_is_named_with_its_whole_revision(text):
    with pytest.raises(LabError, match="hub:OWNER/NAME@REVISION"):
        find_weights(ModelConfig(weights=text))


def copied(path, lab_folders):
    """The Hub's cache holds links; a named file is what a user would have."""
    target = lab_folders.other / "copied.safetensors"
    target.write_bytes(Path(path).read_bytes())
    return str(target)


@pytest.mark.parametrize("offline", [False, True])
def test_without_hub_and_cache_auto_starts_from_scratch_and_pretrained_refuses(lab_folders, offline):
    no_user = "http://127.0.0.1:9"
    result = ask("auto", lab_folders.other / "hf", no_user, offline)
    assert result["kind"] == "scratch" and result["path"] is None
    assert ("is switched off by HF_HUB_OFFLINE" if offline else "doesn't answer") in result["sentence"]
    refused = ask("pretrained", lab_folders.other / "hf", no_user, offline)
    assert "can't be had" in refused["error"]


def test_a_local_file_goes_before_the_hub(lab_folders, hub):
    (lab_folders.weights / "vit_tiny_patch16_224.safetensors").write_bytes(b"")
    assert ask("auto", lab_folders.other / "hf", hub.address)["kind"] == "file"
    assert not hub.requests


def test_a_download_that_breaks_off_is_a_sentence(lab_folders, hub):
    hub.content = hub.content[:1000]
    length = len(hub.content)

    class Liar(bytes):
        def __len__(self):
            return length * 2

    hub.content = Liar(hub.content)
    assert "could not be downloaded" in ask("pretrained", lab_folders.other / "hf", hub.address)["error"]
