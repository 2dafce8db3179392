"""Read YAML that others wrote: no tags that make objects, a limit on size, depth and what aliases unfold to.

A few lines of aliases can stand for more values than any memory holds, so that the nodes are counted before a single
value is made of them. A key that is given twice is refused: YAML libraries keep one of the two without a word.
"""

from __future__ import annotations

from typing import Any

import yaml

from sian.errors import BadInput, first_line, shown

MOST_BYTES = 4 << 20  # a plan with 10,000 styles is about half a megabyte
MOST_VALUES = 200_000  # once all aliases are unfolded
MOST_DEPTH = 40
MOST_DIGITS = 100  # of a number; Python itself refuses 5,000
MERGE = "tag:yaml.org,2002:merge"
NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


def parse_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: not YAML, or beyond a limit; the message is a part of a sentence that begins with "found".

    >>> parse_yaml("a: [1, 2]")
    {'a': [1, 2]}
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MB of text")
    try:
        return _value(_Loader(text))
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{shown_text(error.problem or error.context or 'broken YAML')}{place}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(shown_text(first_line(error))) from None
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        # the library's own: a date of month 13, an empty number
        raise ValueError(shown_text(first_line(error))) from None


def _value(loader: _Loader) -> Any:
    node = loader.get_single_node()
    if node is None:
        return None
    _count(node, {})
    return loader.construct_document(node)


def shown_text(text: str, most: int = 200) -> str:
    """The beginning of a text."""
    return text if len(text) <= most else f"{text[:most]}..."


class _Loader(yaml.SafeLoader):
    """Refuses what is too deep while it reads."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node, and what is in it."""
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"lists and mappings more than {MOST_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node unfolds to.

    Args:
        node: composed, aliases not unfolded.
        known: the counts of nodes seen before; 0 while a node is being counted.
    """
    if (count := known.get(id(node))) is not None:
        if not count:
            raise ValueError("an alias of what it is in itself")
        return count
    known[id(node)] = 0
    children = _children(node)
    count = 1 + sum(_count(child, known) for child in children)
    if count > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values (aliases unfolded)")
    known[id(node)] = count
    return count


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != MERGE]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the key {shown(twice)} twice in one mapping")
        return [part for pair in node.value for part in pair]
    if node.tag in NUMBERS and len(node.value) > MOST_DIGITS:
        raise ValueError(f"a number of {len(node.value):,} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in node.value):
        raise ValueError(f"half of a character in {shown(node.value)}")
    return []


def bad_yaml(name: str, expected: str, error: ValueError) -> BadInput:
    """What to say of a file whose YAML cannot be read."""
    return BadInput(f"{name}: expected {expected} in YAML, found {error}; mend that place")
