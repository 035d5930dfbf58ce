"""The page Inspect through AppTest: several files, a ZIP, the quick answer and the full one, downloads, collections."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import images, uploads
from core.config import RGB
from core.data.collections import list_collections, save_collection
from core.inference.batches import MAX_IMAGES, MAX_PIXEL_BYTES, Upload, UploadBudget
from core.inference.tta import PredictOptions
from core.labelling.label_set import list_label_sets
from core.labelling.masks import read_mask
from core.runs.store import read_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def with_run(lab_folders, trained_run: Path, monkeypatch) -> str:
    """A finished run among the places, with a data folder and a cache of the test's own; returns its id."""
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    return trained_run.name


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app" / "navigation.py"), default_timeout=240).run()
    return app.switch_page("../pages/inspect.py").run()


def shown(app: AppTest) -> dict:
    """What the viewer was given."""
    data = [json.loads(component.proto.json) for component in app.get("bidi_component")]
    return next(each for each in data if "panels" in each)


def street(seed: int, kind: str = "PNG") -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (64, 128, 3), dtype=np.uint8)).save(held, kind)
    return held.getvalue()


def settled(app: AppTest) -> AppTest:
    """The page once every full answer is there; a browser asks again by itself."""
    for _ in range(200):
        assert not app.exception and not app.error
        if all("half size" not in panel["subtitle"] for panel in shown(app)["panels"]):
            return app
        app.run()
    pytest.fail("the full answer never came")


def html_of(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def test_no_more_is_decoded_or_kept_than_there_is_room_for(lab_folders, with_run: str, monkeypatch) -> None:
    asked = []

    def decode_batch(name, _data, _pixels, room):
        asked.append((name, room))
        count = {"a.zip": 20, "b.zip": 4}[name]
        return tuple(Upload(f"{name}-{index}", np.full((64, 128, 3), index, np.uint8)) for index in range(count))

    monkeypatch.setattr(uploads, "decode_batch", decode_batch)
    files = [SimpleNamespace(file_id=name, name=name, size=1, getvalue=bytes) for name in ("a.zip", "b.zip", "c.zip")]
    for _ in range(2):
        samples = uploads.uploaded_samples(files, RGB)
        assert len(samples) == MAX_IMAGES
    assert asked == [
        ("a.zip", UploadBudget()),
        ("b.zip", UploadBudget(4, MAX_PIXEL_BYTES - 20 * 64 * 128 * 3)),
    ]  # once each; c.zip never
    images._DECODED.clear()  # others needed the memory
    assert len(uploads.uploaded_samples(files, RGB)) == MAX_IMAGES and len(asked) == 4


def test_files_and_a_zip_are_pictures_and_what_is_none_is_a_sentence(lab_folders, with_run: str) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("folder/b.jpg", street(2, "JPEG"))
        archive.writestr("c.png", b"no picture")
    app = opened()
    app.file_uploader(key="upload").set_value(
        [
            ("a.png", street(1), "image/png"),
            ("more.zip", held.getvalue(), "application/zip"),
            ("x.png", b"x", "image/png"),
        ]
    ).run()
    assert not app.exception
    assert [error.value.split(":")[0].replace("\\", "") for error in app.error] == ["c.png", "x.png"]
    assert app.selectbox(key="picture").options == ["1. a.png", "2. b.jpg"]
    first = shown(app)
    assert first["name"] == "a.png"
    next(button for button in app.button if button.label == "Next").click().run()
    assert shown(app)["name"] == "b.jpg" and shown(app)["image"] != first["image"]


def test_the_full_answer_replaces_the_quick_one_and_options_change_it(lab_folders, with_run: str) -> None:
    app = opened()
    app.file_uploader(key="upload").set_value([("a.png", street(1), "image/png")]).run()
    (panel,) = shown(settled(app))["panels"]
    assert panel["subtitle"].endswith(" ms")
    app.toggle(key="flip").set_value(True).run()
    (flipped,) = shown(settled(app))["panels"]
    assert flipped["labels"] != panel["labels"]


def test_a_frame_of_the_data_set_can_be_looked_at(lab_folders, with_run: str) -> None:
    app = opened()
    app.selectbox(key="inspect-source").set_value("Frame of a data set").run()
    settled(app)
    assert len(app.selectbox(key="inspect-val-frame").options) == 4
    app.selectbox(key="inspect-split").set_value("train").run()
    assert len(app.selectbox(key="inspect-train-frame").options) == 8
    assert shown(app)["name"] == app.selectbox(key="inspect-train-frame").value


def test_all_pictures_are_labelled_on_one_sheet_and_downloaded_as_a_zip(lab_folders, with_run: str) -> None:
    from app.services import inference_worker

    app = opened()
    app.file_uploader(key="upload").set_value([(f"{n}.png", street(n), "image/png") for n in range(2)]).run()
    settled(app).toggle(key="label-all").set_value(True).run()
    assert html_of(app).count("<figure>") == 2
    assert any("2 masks took" in caption.value for caption in app.caption)
    app.button(key="make-zip").click().run()
    assert not app.exception and not app.error
    assert app.download_button(key="download-zip").label.startswith("Download")
    with zipfile.ZipFile(io.BytesIO(app.session_state["zip"][1])) as archive:
        names = archive.namelist()
        (path,) = [name for name in names if name.endswith("002_1_trainIds.png")]
        labels = np.asarray(Image.open(io.BytesIO(archive.read(path))))
    image = np.asarray(Image.open(io.BytesIO(street(1))))
    assert (labels == inference_worker().predict(read_run(lab_folders.runs / with_run).path, image).labels).all()
    app.toggle(key="flip").set_value(True).run()
    assert not app.get("download_button"), "what was made with other options is not handed out"


def test_pictures_are_saved_as_a_collection_shown_again_and_deleted(lab_folders, with_run: str, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    app = opened()
    app.file_uploader(key="upload").set_value([("a.png", street(1), "image/png")]).run()
    settled(app).text_input(key="collection-name").set_value("Our street").run()
    app.button(key="save-collection").click().run()
    assert not app.exception and not app.error
    (saved,) = list_collections()
    assert saved.name == "Our street" and saved.images[0][0] == "a.png"
    again = opened()
    again.selectbox(key="inspect-source").set_value("Collection").run()
    assert shown(settled(again))["name"] == "a.png"
    again.button(key="delete-collection").click().run()
    assert not again.exception and list_collections() == []
    assert "No collection yet" in html_of(again)


def test_a_network_that_fails_is_a_sentence_and_the_others_go_on(lab_folders, with_run: str, monkeypatch) -> None:
    broken = lab_folders.runs / f"{with_run[:-4]}0000"
    shutil.copytree(lab_folders.runs / with_run, broken)
    (broken / "best/model.safetensors").write_bytes(b"broken")
    save = lab_folders.other / "data"
    monkeypatch.setenv("SEGLAB_DATA", str(save))
    save_collection("one", [("a", np.zeros((64, 128, 3), np.uint8))])
    app = opened()
    app.multiselect[0].set_value([with_run, broken.name]).run()
    app.selectbox(key="inspect-source").set_value("Collection").run()
    assert not app.exception and len(app.error) >= 1
    assert len(shown(app)["panels"]) == 1


def test_the_scales_offered_are_allowed() -> None:
    source = (ROOT / "pages/inspect.py").read_text()
    scales = eval(source.split("SCALES = ")[1].split("\n")[0])
    assert all(PredictOptions(scales=each) for each in scales.values())


def test_what_a_network_got_wrong_is_mended_where_labels_are_painted(lab_folders, with_run: str, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_DATA", str(lab_folders.other / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    app = opened()
    app.get("file_uploader")[0].set_value([("mine.png", street(3), "image/png")]).run()
    seen = json.loads(json.dumps(shown(settled(app))["classes"]))
    app.button(key="mend").click().run()
    assert not app.exception and not app.error
    (label_set,) = list_label_sets()
    (frame,) = label_set.images
    assert frame.startswith("mine-") and list(label_set.space.class_names) == seen
    labels = read_mask(label_set, frame).labels
    assert labels.shape == (64, 128) and (labels != 255).all()
    assert app.selectbox(key="label-frame").value == frame, "the page Label is open"
