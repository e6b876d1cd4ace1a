/* What rust/bindings/src/ffi takes for granted of an interpreter's objects, held against its headers: compiled, never run. */
#define Py_BUILD_CORE 1
#include <stddef.h>
#include <Python.h>
#include "internal/pycore_dict.h"

#define IS(what, value) _Static_assert((what) == (value), #what)

/* dicts.rs: Dict */
IS(offsetof(PyDictObject, ma_used), 16);
IS(offsetof(PyDictObject, ma_keys), 32);
IS(offsetof(PyDictObject, ma_values), 40);
IS(sizeof(PyDictObject), 48);

/* dicts.rs: Keys, and the entries behind the hash table */
IS(offsetof(struct _dictkeysobject, dk_log2_size), 8);
IS(offsetof(struct _dictkeysobject, dk_log2_index_bytes), 9);
IS(offsetof(struct _dictkeysobject, dk_kind), 10);
IS(offsetof(struct _dictkeysobject, dk_nentries), 24);
IS(offsetof(struct _dictkeysobject, dk_indices), 32);
IS(DICT_KEYS_UNICODE, 1);
IS(offsetof(PyDictUnicodeEntry, me_key), 0);
IS(offsetof(PyDictUnicodeEntry, me_value), 8);
IS(sizeof(PyDictUnicodeEntry), 16);

/* numbers.rs: a header, then the value */
IS(sizeof(PyObject), 16);
IS(offsetof(PyFloatObject, ob_fval), 16);
IS(sizeof(PyFloatObject), 24);
