"""Objects from clicks: what a browser may send, the authors' weights, and the answer through the worker and the route."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import MAX_PROMPT_BYTES, ROUTES
from benchmarks.strokes import draw_strokes
from core.data.decoding import read_image, read_labels
from core.errors import LabError
from core.inference.process import Models, respond
from core.inference.worker import StrokesRequest
from core.jobs.kinds import load_work
from core.labelling.label_set import create_label_set
from core.labels import CITYSCAPES_19
from core.models.mobile_sam import Embedding, MobileSam, load_mobile_sam, new_name
from core.models.mobile_sam_job import REPO, mobile_sam_weights, ready_mobile_sam
from core.models.prompts import MAX_POINTS, Prompts, parse_prompts
from core.paths import PROJECT
from core.synthetic import draw_scene
from tests.hub_server import Hub

AUTHORS = (
    (r"^encoder\.patch_embed\.conv(\d)\.", lambda match: f"image_encoder.patch_embed.seq.{2 * int(match[1]) - 2}."),
    (r"^encoder\.stages\.(\d)\.downsample", lambda match: f"image_encoder.layers.{int(match[1]) - 1}.downsample"),
    (r"^encoder\.stages", "image_encoder.layers"),
    (r"^(image_encoder\..*)\.conv\.", r"\1.c."),
    (r"^neck", "image_encoder.neck"),
    (
        r"^prompts\.shared_embedding\.positional_embedding",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"^prompts\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"^prompts\.mask_embed\.conv(\d)", lambda match: f"prompt_encoder.mask_downscaling.{3 * int(match[1]) - 3}"),
    (r"^prompts\.mask_embed\.layer_norm(\d)", lambda match: f"prompt_encoder.mask_downscaling.{3 * int(match[1]) - 2}"),
    (r"^prompts\.", "prompt_encoder."),
    (r"^decoder\.upscale_conv(\d)", lambda match: f"mask_decoder.output_upscaling.{3 * int(match[1]) - 3}"),
    (r"^decoder\.upscale_layer_norm", "mask_decoder.output_upscaling.1"),
    (r"^decoder\.", "mask_decoder."),
    (r"\.layer_norm(?=\d|_final)", ".norm"),
    (r"\.layers\.0\.(?=weight|bias)", ".layers.1."),
    (r"\.proj_in\.", ".layers.0."),
    (r"\.proj_out\.", ".layers.2."),
)
"""From the lab's names back to the authors'."""


def authors_name(name: str) -> str:
    for pattern, replacement in AUTHORS:
        name = re.sub(pattern, replacement, name)
    return name


def truth_of(path: Path) -> Path:
    """The label ids of a real validation frame."""
    name = path.name.replace("leftImg8bit.png", "gtFine_labelIds.png")
    return path.parents[3] / "gtFine" / "val" / path.parent.name / name


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> Path:
    """A file of the authors' form, random numbers in 16 bits, with the classifier that nothing here uses."""
    torch.manual_seed(0)
    state = MobileSam().state_dict()
    named = {authors_name(name): value.half() if value.is_floating_point() else value for name, value in state.items()}
    path = tmp_path_factory.mktemp("sam") / "mobile_sam_fp16.safetensors"
    save_file({**named, "image_encoder.head.weight": torch.zeros(1000, 320)}, path)
    return path


@pytest.fixture
def label_set(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    scenes = [(f"photo {number}", lambda n=number: draw_scene(n, 0, size=(64, 128)).image) for number in range(2)]
    return create_label_set("My street", scenes, ("road", "sky"))


@pytest.mark.parametrize(
    ("message", "prompts"),
    [
        ({"points": [], "box": None}, None),
        ({"points": [[0.5, 0.25, 1], [2, -1, 0]], "box": None}, Prompts(((0.5, 0.25), (1.0, 0.0)), (True, False))),
        ({"points": [], "box": [0, 0.1, 1, 0.2]}, Prompts(box=(0.0, 0.1, 1.0, 0.2))),
    ],
)
def test_clicks_are_read(message, prompts):
    assert parse_prompts(message) == prompts


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"points": []},
        {"points": [[0, 0]], "box": None},
        {"points": [[0, float("nan"), 1]], "box": None},
        {"points": [["0", 0, 1]], "box": None},
        {"points": [[True, 0, 1]], "box": None},
        {"points": [[0, 0, 2]], "box": None},
        {"points": [[0, 0, float("inf")]], "box": None},
        {"points": [[0, 10**400, 1]], "box": None},
        {"points": [[0, 0, 1]] * (MAX_POINTS + 1), "box": None},
        {"points": [], "box": [0, 0, 1]},
        {"points": [], "box": [0.5, 0, 0.5, 1]},
        {"points": [], "box": "here"},
        {"points": 7, "box": None},
    ],
)
def test_what_is_no_click_is_a_sentence(message):
    with pytest.raises(LabError, match=r"\.$"):
        parse_prompts(message)


def test_every_tensor_of_the_authors_has_its_place(stand_in):
    model = load_mobile_sam(stand_in)
    names = model.state_dict().keys()
    assert {new_name(authors_name(name)) for name in names} == set(names)
    image = draw_scene(0, 0, size=(60, 90)).image
    embedding = model.embed(image)
    assert embedding.features.shape == (1, 256, 44, 64) and embedding.shown == (683, 1024)
    for prompts in (
        Prompts(((0.5, 0.5),), (True,)),
        Prompts(box=(0.1, 0.1, 0.9, 0.5)),
        Prompts(((0.1, 0.9),), (False,), (0, 0, 1, 1)),
    ):
        mask = model.segment(embedding, prompts)
        assert mask.shape == (60, 90) and mask.dtype == bool


def test_other_files_are_refused_in_a_sentence(tmp_path, stand_in):
    other, cut = tmp_path / "mobile_sam.safetensors", tmp_path / "mobile_sam_cut.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    cut.write_bytes(stand_in.read_bytes()[:100_000])
    for path in (other, cut):
        with pytest.raises(LabError, match=f"{path.name} holds no weights of MobileSAM"):
            load_mobile_sam(path)


def test_a_click_on_the_road_of_real_frames_is_the_road(shared):
    model = load_mobile_sam(shared / "weights" / "mobile_sam_fp16.safetensors")
    ious = []
    for path in sorted((shared / "data/cityscapes/leftImg8bit/val").glob("*/*.png"))[:4]:
        road = read_labels(truth_of(path)) == 7
        rows, columns = np.nonzero(road)
        middle = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
        point = (columns[middle] / road.shape[1], rows[middle] / road.shape[0])
        mask = model.segment(model.embed(read_image(path)), Prompts((point,), (True,)))
        ious.append((mask & road).sum() / (mask | road).sum())
    assert np.median(ious) > 0.7, ious


def test_the_route_tells_which_pixels_are_the_object(label_set, lab_folders, stand_in):
    client = TestClient(Starlette(routes=ROUTES))
    frame = next(iter(label_set.images))
    address = f"/lab/object/{label_set.slug}/{frame}"
    click = {"points": [[0.5, 0.8, 1]], "box": None}
    missing = client.post(address, json=click)
    assert missing.status_code == 422 and "Get it on the page Label" in missing.json()["error"]

    shutil.copy(stand_in, lab_folders.weights / stand_in.name)
    assert ready_mobile_sam() == lab_folders.weights / stand_in.name
    looked = client.post(address, json={"points": [], "box": None})
    assert looked.status_code == 204 and looked.content == b""
    answer = client.post(address, json=click)
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    (lab_folders.other / "mask.png").write_bytes(answer.content)
    values = np.asarray(Image.open(lab_folders.other / "mask.png"))
    assert values.shape == (64, 128) and set(np.unique(values)) <= {0, 255}

    for body in (b"", b"[]", b"{", b"\xff", b'{"points": [[9]], "box": null}', b'{"points": 1, "box": null}'):
        refused = client.post(address, content=body)
        assert refused.status_code == 422 and refused.json()["error"].endswith("."), body
    assert client.post(address, content=b"x" * (MAX_PROMPT_BYTES + 1)).status_code == 413
    for wrong in ("nothing/x", f"{label_set.slug}/nothing", f"{label_set.slug}/..%2fclasses"):
        assert client.post(f"/lab/object/{wrong}", json=click).status_code in (404, 422)
    assert client.get(address).status_code == 405


def test_it_comes_from_the_hub_where_it_is_not_here(tmp_path, lab_folders):
    hub = Hub()
    content = b"\0" * 1000
    hub.add(REPO, {"model.safetensors": content})
    program = (
        "from core.models.mobile_sam_job import fetch, mobile_sam_weights\n"
        "assert mobile_sam_weights() is None\n"
        "told = []\n"
        "path = fetch({}, lambda *how: told.append(how))['path']\n"
        "assert str(mobile_sam_weights()) == path and told[-1][1:] == (1000, 1000), told\n"
        "print(open(path, 'rb').read() == bytes(1000))\n"
    )
    settings = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    try:
        command = [sys.executable, "-c", program]
        answer = subprocess.run(
            command, env=os.environ | settings, cwd=PROJECT, capture_output=True, text=True, timeout=120
        )
    finally:
        hub.close()
    assert answer.stdout.strip() == "True", answer.stderr


def test_without_the_hub_it_is_said_where_to_put_it(lab_folders):
    assert mobile_sam_weights() is None
    with pytest.raises(
        LabError, match=r"doesn't answer.*mobile_sam\.safetensors into '.*model\.safetensors of huggingface"
    ):
        load_work("mobile-sam")({}, lambda *_: None)


def test_an_embedding_is_told_at_the_size_of_any_image():
    cells = torch.arange(4, dtype=torch.float32)
    columns = cells.repeat(2, 1)[None, None]  # what each of 2 x 4 cells holds is its column
    whole = Embedding(columns, (32, 64), (60, 120))
    assert np.allclose(whole.resized((2, 4))[0], [[0, 1, 2, 3]] * 2)
    assert np.allclose(whole.resized((2, 8))[0][0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    padded = Embedding(columns, (32, 32), (60, 60))  # the right half is no image
    assert np.allclose(padded.resized((2, 4))[0][0], [0, 0.25, 0.75, 1.25])


def test_strokes_are_told_what_it_sees(stand_in):
    scene = draw_scene(3, 0, size=(64, 128))
    strokes = np.full((64, 128), 255, np.uint8)
    strokes[5:9, 20:60], strokes[55:60, 30:90] = 1, 0
    models = Models()
    plain = respond(StrokesRequest(None, "best", "", scene.image, strokes), models)
    request = StrokesRequest(None, "best", "", scene.image, strokes, weights=stand_in)
    told, again = respond(request, models), respond(request, models)
    assert told.labels.shape == (64, 128) and np.array_equal(told.labels, again.labels)
    assert not np.array_equal(told.confidence, plain.confidence)


def test_few_strokes_on_real_frames_go_further_with_what_it_sees(shared):
    weights, models = shared / "weights" / "mobile_sam_fp16.safetensors", Models()
    right = {None: 0, weights: 0}
    for number, path in enumerate(sorted((shared / "data/cityscapes/leftImg8bit/val").glob("*/*.png"))[:3]):
        image = read_image(path)
        target = CITYSCAPES_19.to_target(read_labels(truth_of(path)))
        strokes = draw_strokes(target, 1, np.random.default_rng(number))
        for each in right:
            labels = respond(StrokesRequest(None, "best", "", image, strokes, weights=each), models).labels
            right[each] += (labels == target).sum() / (target != 255).sum() / 3
    assert right[weights] > right[None] + 0.03, right
