"""Writes the files of this folder: annotation files, and the label maps that each format's own tools make of them.

    uv venv /tmp/ref && uv pip install --python /tmp/ref/bin/python labelme pycocotools supervision label-studio-sdk datumaro
    /tmp/ref/bin/python tests/data/annotations/make.py labelme coco yolo cvat label_studio
    uv venv /tmp/ref-sly && uv pip install --python /tmp/ref-sly/bin/python supervisely
    /tmp/ref-sly/bin/python tests/data/annotations/make.py supervisely

labelme 6.3.1, pycocotools 2.0.11, supervision 0.31.2, label-studio-sdk 2.0.19, datumaro 1.13.12. The shapes are drawn from random
numbers; nothing is copied from anybody's data. Ids: 0 is background, 1 road, 2 sky, 3 tree.
"""

import base64
import io
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT = 96, 64
NAMES = ["road", "sky", "tree"]
IDS = {name: index + 1 for index, name in enumerate(NAMES)}
rng = np.random.default_rng(7)


def star(corners=7):
    """A ring of random corners about a random centre, partly outside of the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(6, 26, corners)
    centre = rng.uniform((5, 5), (WIDTH - 5, HEIGHT - 5))
    return np.round(np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + centre, 2)


def inside(ring):
    return np.clip(ring, 0, (WIDTH, HEIGHT))


def blob(height, width):
    noise = rng.random((height, width))
    noise[:2, :2] = 0
    return noise > 0.4


def save(name, values):
    Image.fromarray(values.astype(np.uint8)).save(HERE / f"{name}.png")


def png(mask):
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def paint(masks):
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, mask in masks:
        values[np.asarray(mask) > 0] = IDS[name]
    return values


def of_labelme():
    from labelme.utils import shapes_to_label

    def shape(label, points, kind="polygon", **more):
        return {
            "label": label,
            "points": np.asarray(points).tolist(),
            "shape_type": kind,
            "group_id": None,
            "flags": {},
            **more,
        }

    mask = blob(20, 30)
    shapes = {
        "polygons": [shape(NAMES[i % 3], star()) for i in range(5)],
        "others": [
            shape("road", [[70.5, 40.5], [10.25, 8]], "rectangle"),
            shape("sky", [[40, 30], [52, 36]], "circle"),
            shape("tree", [[5, 60], [60, 5.5]], "line"),
            shape("road", [[80, 10], [90, 30], [70, 55]], "linestrip"),
            shape("sky", [[20, 50]], "point"),
        ],
        "mask": [shape("road", star()), shape("tree", [[12, 9], [41, 28]], "mask", mask=png(mask))],
    }
    for name, items in shapes.items():
        file = {"version": "5.5.0", "flags": {}, "shapes": items, "imagePath": f"labelme_{name}.jpg", "imageData": None}
        (HERE / f"labelme_{name}.json").write_text(json.dumps(file | {"imageHeight": HEIGHT, "imageWidth": WIDTH}))
        decoded = [item | ({"mask": mask} if "mask" in item else {}) for item in items]
        save(f"labelme_{name}", shapes_to_label((HEIGHT, WIDTH), decoded, IDS)[0])


def of_coco():
    from pycocotools import mask as tools
    from pycocotools.coco import COCO

    crowd, blobs = blob(HEIGHT, WIDTH), blob(HEIGHT, WIDTH) & (np.arange(WIDTH) > 60)
    compressed = tools.encode(np.asfortranarray(blobs.astype(np.uint8)))
    changes = np.flatnonzero(np.diff(crowd.T.ravel().astype(int))) + 1
    runs = np.diff([0, *changes, crowd.size]).tolist()
    segmentations = [
        {"size": [HEIGHT, WIDTH], "counts": runs},
        [star().ravel().tolist(), star().ravel().tolist()],
        {"size": [HEIGHT, WIDTH], "counts": compressed["counts"].decode()},
        [star().ravel().tolist()],
        [inside(star()).ravel().tolist()],
    ]
    annotations = [
        {"id": i, "image_id": 1, "category_id": 10 * (i % 3 + 1), "iscrowd": int(isinstance(s, dict)), "area": 1, "bbox": [0, 0, 1, 1], "segmentation": s}
        for i, s in enumerate(segmentations)
    ]  # fmt: skip
    file = {
        "images": [{"id": 1, "file_name": "coco.jpg", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 10 * IDS[name], "name": name} for name in NAMES],
        "annotations": annotations,
    }
    (HERE / "coco.json").write_text(json.dumps(file))
    coco = COCO(HERE / "coco.json")
    save(
        "coco", paint((NAMES[a["category_id"] // 10 - 1], coco.annToMask(a)) for a in coco.loadAnns(coco.getAnnIds(1)))
    )


def of_yolo():
    import supervision as sv

    rings = [inside(star()) / (WIDTH, HEIGHT) for _ in range(4)]
    lines = [f"{i % 3} " + " ".join(f"{v:.6f}" for v in ring.ravel()) for i, ring in enumerate(rings)]
    lines.append("2 0.5 0.25 0.25 0.5")
    (HERE / "yolo.txt").write_text("\n".join(lines))
    (HERE / "yolo.yaml").write_text(json.dumps({"names": NAMES, "nc": 3}))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(images / "yolo.png")
        (images / "yolo.txt").write_text("\n".join(lines))
        data = sv.DetectionDataset.from_yolo(str(images), str(images), str(HERE / "yolo.yaml"), force_masks=True)
        (_, _, detections) = data[0]
    save("yolo", paint(zip((NAMES[i] for i in detections.class_id), detections.mask, strict=True)))


def of_cvat():
    from datumaro.components.annotation import Mask, Polygon
    from datumaro.components.dataset import Dataset
    from datumaro.util import mask_tools

    def pairs(ring):
        return ";".join(f"{x},{y}" for x, y in ring)

    mask = blob(20, 30)
    changes = np.flatnonzero(np.diff(mask.ravel().astype(int))) + 1
    runs = np.diff([0, *changes, mask.size]).tolist()
    items = [
        f'<polygon label="road" z_order="2" points="{pairs(inside(star()))}"/>',
        f'<polygon label="sky" z_order="0" points="{pairs(inside(star()))}"/>',
        f'<mask label="tree" z_order="1" rle="{", ".join(map(str, runs))}" left="40" top="20" width="30" height="20"/>',
        f'<polygon label="sky" z_order="0" points="{pairs(inside(star()))}"/>',
        '<box label="tree" z_order="0" xtl="10" ytl="5" xbr="30" ybr="20"/>',
    ]
    labels = "".join(f"<label><name>{name}</name><attributes/></label>" for name in NAMES)
    (HERE / "cvat.xml").write_text(
        f'<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta><image id="0" name="cvat.jpg" '
        f'width="{WIDTH}" height="{HEIGHT}">{"".join(items)}</image></annotations>'
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images").mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(Path(folder) / "images/cvat.jpg")
        (Path(folder) / "cvat.xml").write_bytes((HERE / "cvat.xml").read_bytes())
        item = next(iter(Dataset.import_from(folder, "cvat")))
        masks = []
        for shape in sorted(item.annotations, key=lambda shape: shape.z_order):
            if isinstance(shape, Mask):
                mask = shape.image
            else:
                ring = shape.points if isinstance(shape, Polygon) else shape.as_polygon()
                mask = mask_tools.rles_to_mask([ring], WIDTH, HEIGHT)
            masks.append((NAMES[shape.label], mask))
    save("cvat", paint(masks))


def of_label_studio():
    from label_studio_sdk.converter.brush import decode_rle, mask2rle
    from pycocotools import mask as tools

    brush, ring = blob(HEIGHT, WIDTH) & (np.arange(WIDTH) < 30), inside(star())
    base = {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "from_name": "tag",
        "to_name": "image",
    }
    rle = mask2rle(brush.astype(np.uint8) * 255)
    result = [
        base | {"type": "brushlabels", "value": {"format": "rle", "rle": rle, "brushlabels": ["road"]}},
        base
        | {
            "type": "polygonlabels",
            "value": {"points": (ring / (WIDTH, HEIGHT) * 100).tolist(), "polygonlabels": ["sky"]},
        },
    ]
    task = {"id": 1, "data": {"image": "/data/upload/1/0123abcd-label_studio.jpg"}, "annotations": [{"result": result}]}
    (HERE / "label_studio.json").write_text(json.dumps([task]))
    polygon = tools.decode(tools.merge(tools.frPyObjects([ring.ravel().tolist()], HEIGHT, WIDTH)))
    save("label_studio", paint([("road", decode_rle(rle).reshape(HEIGHT, WIDTH, 4)[..., 3]), ("sky", polygon)]))


def of_supervisely():
    import supervisely as sly

    classes = [sly.ObjClass(name, sly.AnyGeometry) for name in NAMES]
    meta = sly.ProjectMeta(obj_classes=sly.ObjClassCollection(classes))

    def rounded(ring):
        return [[int(y), int(x)] for x, y in np.clip(np.round(ring), 0, (WIDTH - 1, HEIGHT - 1))]

    hole = [[20, 20], [20, 40], [35, 40], [35, 20]]
    geometries = [
        ("road", sly.Polygon([[5, 5], [5, 60], [50, 70], [55, 8]], interior=[hole])),
        ("sky", sly.Polygon(rounded(star()), interior=[])),
        ("tree", sly.Rectangle(30, 50, 45, 80)),
        ("sky", sly.Bitmap(blob(20, 30), origin=sly.PointLocation(10, 60))),
    ]
    labels = [sly.Label(geometry, meta.get_obj_class(name)) for name, geometry in geometries]
    annotation = sly.Annotation((HEIGHT, WIDTH), labels)
    (HERE / "supervisely.json").write_text(json.dumps(annotation.to_json()))
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label in sly.Annotation.from_json(annotation.to_json(), meta).labels:
        label.geometry.draw(values, IDS[label.obj_class.name])
    save("supervisely", values)


for make in [value for name, value in list(globals().items()) if name.startswith("of_")]:
    if make.__name__[3:] in sys.argv[1:]:
        rng = np.random.default_rng(7)
        make()
