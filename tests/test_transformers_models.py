"""Networks of transformers as runs: the labels by their names, the masks by the paper, and nothing of a stranger's config taken as it is.

The networks are tiny and random, built and saved here; the Hub is the stand-in of `tests/test_hub.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from core.config import ModelConfig, read_config
from core.errors import LabError
from core.hub.transformers_models import read_transformers_config
from core.labels import CITYSCAPES_19
from core.models.build import build_model
from core.models.transformers_models import class_indices, shape_of
from core.runs.store import best_miou, read_run
from tests.test_hub import REPO, nothing_came
from tests.test_hub import hub as hub  # fixtures
from tests.test_hub import hub_and_lab as hub_and_lab
from tests.test_hub import lab as lab

transformers = pytest.importorskip("transformers", reason="transformers is an optional extra (make extras)")

LABELS = dict(enumerate(["Void", *reversed(CITYSCAPES_19.class_names)]))
"""In another order than the benchmark's, and one too many."""


def segformer() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        id2label=LABELS,
    )
    return transformers.SegformerForSemanticSegmentation(config).eval()


def mask2former() -> torch.nn.Module:
    torch.manual_seed(0)
    stages = [f"stage{index}" for index in (1, 2, 3, 4)]
    swin = transformers.SwinConfig(
        image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=swin,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=5,
        id2label=LABELS,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config).eval()


NETWORKS = {"segformer": segformer, "mask2former": mask2former}


def saved(network: torch.nn.Module, folder: Path) -> dict[str, bytes]:
    """The files of a repository of transformers."""
    network.save_pretrained(folder)
    preprocessor = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"preprocessor_config.json": json.dumps(preprocessor).encode()}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    return saved(segformer(), tmp_path_factory.mktemp("segformer"))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_published_network_becomes_a_run_that_answers_as_it_does(hub, lab, lab_folders, tmp_path, kind):
    from core.inference.predictor import Predictor

    network = NETWORKS[kind]()
    hub.add(REPO, saved(network, tmp_path / "saved"))
    path = Path(lab.ask("pull")["path"])
    run = read_run(path)
    assert (run.state, run.problem, run.title) == (
        "finished",
        None,
        {"segformer": "SegFormer"}.get(kind, "Mask2Former"),
    )
    assert run.class_names == CITYSCAPES_19.class_names and best_miou(path) is None

    predictor = Predictor(path)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    response = predictor.predict(image)
    assert response.labels.shape == (64, 128) and response.labels.max() < 19

    pixels = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        ours = predictor._model(pixels)
        theirs = network(pixel_values=(pixels - 0.5) / 0.25)
        if kind == "segformer":
            scores = theirs.logits
        else:
            processor = transformers.Mask2FormerImageProcessor()
            # The library's own fusion, of labels: only its winners can be compared.
            winners = processor.post_process_semantic_segmentation(theirs, target_sizes=[(64, 128)])[0]
            names = np.array([CITYSCAPES_19.class_names[index] for index in ours[0].argmax(0).flatten().tolist()])
            expected = np.array([LABELS[number] for number in winners.flatten().tolist()])
            known = expected != "Void"
            assert (names[known] == expected[known]).mean() > 0.9, "scaled up before or after the logarithm"
            return
    scores = torch.nn.functional.interpolate(scores, size=(64, 128), mode="bilinear", align_corners=False)
    for number, name in enumerate(CITYSCAPES_19.class_names):
        theirs_of_it = scores[0, {label: folder for folder, label in LABELS.items()}[name]]
        assert torch.allclose(ours[0, number], theirs_of_it, atol=1e-4), name


def with_config(files: dict[str, bytes], **values: object) -> dict[str, bytes]:
    return files | {"config.json": json.dumps(json.loads(files["config.json"]) | values).encode()}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "bert"}, "A 'bert' is none of the networks that can be brought: SegFormer, Mask2Former"),
        ({"model_type": ["segformer"]}, "none of the networks"),
        ({"model_type": "mask2former"}, "its backbone is no Swin Transformer"),
        ({"id2label": {"0": "cat", "1": "dog"}}, "doesn't tell the 19 classes of Cityscapes apart: it has no 'road'"),
        ({"id2label": {str(index): "road" for index in range(2000)}}, "doesn't make sense"),
        ({"depths": [10**9] * 4}, "doesn't make sense"),
        ({"hidden_sizes": [10**7] * 4}, "doesn't make sense"),
        ({"hidden_sizes": [90_000] * 4}, "are of another network: a smaller one"),
        ({"hidden_act": {"a": 1}}, "doesn't make sense"),
        ({"hidden_sizes": [8, 8, 16, 32]}, "of another network"),
        ({"strides": [0, 0, 0, 0]}, "doesn't make sense"),
        ({"sr_ratios": [64, 64, 64, 64]}, "of another network"),
        ({"hidden_act": "nothing"}, "can't be"),
    ],
)
def test_a_config_that_can_not_be_meant_is_refused(hub, lab, files, lab_folders, values, sentence):
    hub.add(REPO, with_config(files, **values))
    assert sentence in lab.ask("pull")["error"] and nothing_came(lab_folders)


def test_what_could_fetch_or_run_something_is_left_out(files):
    values = json.loads(files["config.json"]) | {
        "auto_map": {"AutoModel": "evil.py"},
        "attn_implementation": "anna/evil-kernel",
        "_attn_implementation": "anna/evil-kernel",
        "quantization_config": {"quant_method": "evil"},
        "_name_or_path": "/etc",
        "trust_remote_code": True,
    }
    cached = shape_of(values)
    assert not {name for name in cached if name in values and name not in ("model_type",)} & {
        "auto_map",
        "attn_implementation",
        "_attn_implementation",
        "quantization_config",
        "_name_or_path",
        "trust_remote_code",
    }
    config = read_config(
        {
            "model": {
                "family": "transformers",
                "encoder": "segformer",
                "architecture": json.dumps({"network": values, "mean": [0.5] * 3, "std": [0.5] * 3}),
            }
        }
    )
    built = build_model(config.model, 19)
    assert built.network.config._attn_implementation != "anna/evil-kernel"


def test_weights_with_a_hole_or_without_a_tensor_are_refused(hub, lab, files, lab_folders):
    tensors = load(files["model.safetensors"])
    name = next(name for name in tensors if name.endswith("weight") and tensors[name].ndim > 1)
    broken = {key: tensor.clone() for key, tensor in tensors.items()}
    broken[name].view(-1)[0] = float("nan")
    hub.add(REPO, files | {"model.safetensors": save(broken)})
    assert "holds values that are no numbers" in lab.ask("pull")["error"]
    hub.add(REPO, files | {"model.safetensors": save({key: value for key, value in tensors.items() if key != name})})
    assert "tensors are missing or of another shape, first" in lab.ask("pull")["error"]
    hub.add(REPO, files | {"model.safetensors": b"x" * 1000})
    assert "Nothing was taken" in lab.ask("pull")["error"] and nothing_came(lab_folders)


def test_labels_are_found_by_their_names():
    labels = {str(index): name.replace(" ", "_").upper() for index, name in enumerate(CITYSCAPES_19.class_names)}
    assert class_indices(labels) == list(range(19))
    with pytest.raises(LabError, match="it has no 'bicycle'"):
        class_indices({number: name for number, name in labels.items() if name != "BICYCLE"})


def test_without_transformers_it_is_said_what_to_install(monkeypatch, files):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(LabError, match='pip install "transformers>=.*" "scipy>='):
        read_transformers_config(json.loads(files["config.json"]), {}, REPO, "/data/cs")


def test_it_is_trained_by_nobody_and_stands_in_no_form(lab_folders):
    from core import runner
    from core.models.families import FAMILIES

    assert "transformers" not in FAMILIES
    with pytest.raises(LabError, match="looked at and scored, not trained"):
        runner.launch(
            read_config({"model": {"family": "transformers", "encoder": "segformer", "architecture": "{}"}}),
            lab_folders.runs,
        )
    assert nothing_came(lab_folders)
    with pytest.raises(LabError, match="doesn't make sense"):
        build_model(ModelConfig(family="transformers", encoder="segformer", architecture="{}"), 19)
    with pytest.raises(LabError, match="is brought from the Hub, or put together of runs, and can't be asked for"):
        read_config({"model": {"family": "transformers", "encoder": "segformer"}})
