"""Numbers and text in words: sizes, durations, shares, lists, and one line of anything."""

from collections.abc import Sequence

UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def format_bytes(count: float) -> str:
    """Return a number of bytes with its unit, "11.6 GB"; a GB is 1e9 bytes, as disks and networks count."""
    for unit, size in UNITS:
        if count >= 0.9995 * size:  # what would round to 1000 of the smaller unit is one of this
            value = count / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{count:.0f} bytes"


def format_duration(seconds: float) -> str:
    """Return a time span, "42 s", "3 min 05 s" or "2 h 10 min"."""
    seconds = max(0, round(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def format_percent(share: float) -> str:
    """Return a share, 0..1, in per cent with one decimal; a dash for NaN, where there is nothing to take a share of."""
    return "–" if share != share else f"{share:.1%}"


def shorten(text: str, length: int = 80) -> str:
    """Return a text of at most `length` characters, and three dots where it was longer."""
    return text if len(text) <= length else f"{text[:length]}..."


def one_line(text: str) -> str:
    """Return a text without control characters, with single spaces."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def keep_lines(text: str) -> str:
    """Return a text without control characters but line breaks, tabs and what joins letters of some scripts."""
    joins = "\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
    lines = (
        "".join(each if each.isprintable() or each in joins else " " for each in line) for line in text.splitlines()
    )
    return "\n".join(lines)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, "1 run" or "3,000 runs"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def join_items(items: Sequence[str], last: str = "and") -> str:
    """Return a list as in a sentence, "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def join_first(items: Sequence[str], limit: int) -> str:
    """Return the first of many words and how many more there are, "a, b and 3 more"."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
