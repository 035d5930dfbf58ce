"""Which classes of a trained network the classes of another one begin with; known without torch.

A class begins with the one that a user names for it, else with the one of its own name; a category of Cityscapes with
the mean of the classes that belong to it. A class doesn't begin with its category: several would begin alike, and then
learn worse than anew (docs/learning.md).
"""

from collections.abc import Mapping, Sequence

from core.errors import LabError
from core.labels import LABEL_BY_NAME
from core.text import join_first


def class_sources(
    class_names: Sequence[str], trained: Sequence[str], pairs: Mapping[str, str]
) -> tuple[tuple[int, ...], ...]:
    """Return for each class the numbers of the trained ones that it begins with; empty where it starts anew.

    Args:
        class_names: of the network that begins, in order of their numbers.
        trained: of the network that it begins with.
        pairs: what a user says: the trained class of a class, both by name; "" for a class that is to start anew.

    Raises:
        LabError: a pair names a class that isn't there; the sentence lists those that are.
    """
    numbers = {_plain(name): number for number, name in enumerate(trained)}
    chosen = {_plain(name): _plain(source) for name, source in pairs.items()}
    for name, source in chosen.items():
        for class_name, known in ((name, {_plain(each) for each in class_names}), (source, {"", *numbers})):
            if class_name not in known:
                raise LabError(
                    f"There is no class '{class_name}' to carry over. Classes of these data:"
                    f" {join_first(list(class_names), 40)}. Classes of the run: {join_first(list(trained), 40)}."
                )
    results = []
    for name in map(_plain, class_names):
        if name in chosen:
            results.append((numbers[chosen[name]],) if chosen[name] else ())
        elif name in numbers:
            results.append((numbers[name],))
        else:
            results.append(tuple(numbers[each] for each in numbers if _category(each) == name))
    return tuple(results)


def sources_sentence(class_names: Sequence[str], trained: Sequence[str], sources: Sequence[tuple[int, ...]]) -> str:
    """Return in words which classes are carried over and which start anew."""
    carried = []
    for name, source in zip(class_names, sources, strict=True):
        if source:
            begun = join_first([trained[number] for number in source], 4)
            carried.append(name if _plain(begun) == _plain(name) else f"{name} from {begun}")
    fresh = [name for name, source in zip(class_names, sources, strict=True) if not source]
    if not carried:
        return f"None of its classes is among these {len(class_names)}: all of them start anew."
    text = f"Carries over {len(carried)} of {len(class_names)} classes: {join_first(carried, 30)}."
    return f"{text} These start anew: {join_first(fresh, 30)}." if fresh else text


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def _category(name: str) -> str:
    return LABEL_BY_NAME[name].category if name in LABEL_BY_NAME else ""
