"""Shared paragraphs of docstrings, written once."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def document(**snippets: str) -> Callable[[F], F]:
    """Replace ``%(name)s`` on a line of its own by a shared paragraph, keeping the indentation."""

    def apply(function: F) -> F:
        text = inspect.cleandoc(function.__doc__ or "")
        for name, snippet in snippets.items():
            text = re.sub(rf"^( *)%\({name}\)s$", partial(_indent, snippet), text, flags=re.MULTILINE)
        function.__doc__ = text
        return function

    return apply


def _indent(snippet: str, found: re.Match[str]) -> str:
    lines = textwrap.dedent(snippet).strip().splitlines()
    return "\n".join(found[1] + line if line.strip() else "" for line in lines)
