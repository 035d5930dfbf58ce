"""Annotation files to plain values, whoever wrote them: no entity is expanded, no object is made, and none is read that
is too large.
"""

from pathlib import Path
from typing import Any

import yaml
from defusedxml import DefusedXmlException, ElementTree

from core.errors import LabError
from core.files import parse_json
from core.text import format_bytes

ENDINGS = (".json", ".xml", ".yaml", ".yml", ".txt", ".names")
MAX_BYTES = 500_000_000
"""COCO's largest file, instances_train2017.json, has 470 MB."""
MAX_TEXT_BYTES = 1_000_000


def load(path: Path) -> Any:
    """Return what a file holds: the values of JSON or YAML, the root element of XML, or text.

    Returns:
        None for YAML and text that can't be read or are too large: those lie in folders for many reasons.

    Raises:
        LabError: JSON or XML can't be read, or is too large.
    """
    ending = path.suffix.lower()
    is_text = ending not in (".json", ".xml")
    try:
        size = path.stat().st_size
        if size > (MAX_TEXT_BYTES if is_text else MAX_BYTES):
            raise ValueError(f"it has {format_bytes(size)}, and {format_bytes(MAX_BYTES)} is the most that is read")
        data = path.read_bytes()
        if ending == ".xml":
            return ElementTree.fromstring(data)
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        if ending == ".json":
            return parse_json(text)
        return yaml.safe_load(text) if ending in (".yaml", ".yml") else text
    except (OSError, ValueError, RecursionError, SyntaxError, yaml.YAMLError, DefusedXmlException) as error:
        if is_text:
            return None
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        reason = reason or type(error).__name__
        raise LabError(
            f"The annotation file '{path}' can't be read: {reason}. Export it again from the label tool, or remove it."
        ) from None
