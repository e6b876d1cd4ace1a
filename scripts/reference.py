"""An extension for the reference: the docstring section `Example:`, as this package writes it, is code."""

from __future__ import annotations

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Names the section as griffe's parser knows it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object, once it is complete."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
