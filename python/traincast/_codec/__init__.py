"""Python objects on behalf of the native core, which knows the exact builtins and asks here for the rest.

`objects` says what an object is, with `arrays` for numpy's, torch's and DLPack's; `refusals` says what to do
in place of what cannot be published; `makers` puts arrays together for readers; `dtypes` has their names.

All of it is imported together with the native core: a child that is forked while another thread imports a
module can never import it. numpy, torch and ml_dtypes are loaded when the first object of theirs is met, or
made.
"""

from __future__ import annotations

from traincast._codec.integers import int_bytes, int_from_bytes
from traincast._codec.makers import maker
from traincast._codec.objects import describe, plain_key
from traincast._codec.refusals import refuse_root, type_name

__all__ = [
    "describe",
    "int_bytes",
    "int_from_bytes",
    "maker",
    "plain_key",
    "refuse_root",
    "type_name",
]
