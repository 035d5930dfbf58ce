"""notes.json of a run folder: name, tags, a note, and the run that it was cloned from."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from core.auth import read_owner, require_owner
from core.errors import LabError
from core.files import write_atomically
from core.text import keep_lines, one_line

RUN_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9]+-[0-9a-f]{4}")
NAME_LENGTH, TAG_LENGTH, TAG_COUNT, NOTE_LENGTH = 80, 30, 20, 5000
"""What fits into a run's notes: characters, but tags for the third."""
NOTES_BYTES = 65_536
"""A larger notes.json was not written by the lab, and isn't read."""


@dataclass(frozen=True)
class Notes:
    """What people say of a run: a name of one line, tags, a note of any number of lines, the id of the run it was
    cloned from.
    """

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""
    parent: str = ""


_NOTES = TypeAdapter(Notes)


def read_notes(path: Path) -> Notes:
    """Return the notes of a run folder; empty where there are none, or none that the lab would have written."""
    try:
        with open(path / "notes.json", "rb") as file:
            notes = _NOTES.validate_json(file.read(NOTES_BYTES))
        return checked_notes(notes)
    except (OSError, ValueError, LabError):
        return Notes()


def write_notes(path: Path, notes: Notes) -> None:
    """Replace notes.json.

    Raises:
        LabError: a name, a tag or the note is too long, there are too many tags, or the run is another's.
    """
    require_owner(read_owner(path), "This run")
    write_atomically(path / "notes.json", json.dumps(asdict(checked_notes(notes)), indent=1))


def checked_notes(notes: Notes) -> Notes:
    """Return notes with no space around anything, name and tags on one line, no tag twice.

    Raises:
        LabError: a name, a tag or the note is too long, or there are too many tags.
    """
    name = one_line(notes.name)
    tags = tuple(dict.fromkeys(tag for tag in map(one_line, notes.tags) if tag))
    note = keep_lines(notes.note).strip()
    for what, text, max_length in (
        ("name", name, NAME_LENGTH),
        *(("tag", tag, TAG_LENGTH) for tag in tags),
        ("note", note, NOTE_LENGTH),
    ):
        if len(text) > max_length:
            raise LabError(f"The {what} has {len(text)} characters, but at most {max_length} fit. Shorten it.")
    if len(tags) > TAG_COUNT:
        raise LabError(f"These are {len(tags)} tags, but a run has room for {TAG_COUNT}. Leave some out.")
    return Notes(name, tags, note, notes.parent if RUN_ID.fullmatch(notes.parent) else "")
