"""The part of the codec that is written in Python: the native core handles exact builtins, this the rest.

`objects` says what an object is published as, `arrays` does so for those of numpy, torch and DLPack, and
`refusals` words the error for what cannot be published. `makers` builds arrays for readers; `dtypes` names
their dtypes.

The native core imports all of these modules with itself, because a child that is forked while another thread
imports a module can never import that module. numpy, torch and ml_dtypes are loaded when the first of their
objects is published or read.
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
