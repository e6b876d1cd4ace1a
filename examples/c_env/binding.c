/* Many boards as one Python object, which steps all of them in numpy's memory. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "squares.h"

enum { OBSERVATIONS, ACTIONS, REWARDS, TERMINALS, ARRAYS };

typedef struct {
    PyObject_HEAD
    Py_buffer arrays[ARRAYS];
    Py_ssize_t count;
    Squares *envs;
} Boards;

static int fail(PyObject *type, const char *why) {
    PyErr_SetString(type, why);
    return -1;
}

/* Boards(observations, actions, rewards, terminals, run): uint8[n, 121], uint8[n], float32[n], uint8[n], and a run's name. */
static int boards_init(Boards *self, PyObject *arguments, PyObject *keywords) {
    PyObject *arrays[ARRAYS];
    const char *run;
    (void)keywords;
    if (self->envs != NULL) return fail(PyExc_RuntimeError, "they are made already");
    if (!PyArg_ParseTuple(arguments, "OOOOs", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &run)) return -1;
    for (int i = 0; i < ARRAYS; i++)
        if (PyObject_GetBuffer(arrays[i], &self->arrays[i], PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) return -1;
    Py_ssize_t count = self->arrays[ACTIONS].len;
    if (count == 0 || self->arrays[OBSERVATIONS].len != SQUARES * count || self->arrays[REWARDS].len != 4 * count ||
        self->arrays[TERMINALS].len != count)
        return fail(PyExc_ValueError, "the arrays are of different lengths");
    tc_close(&training.reader); /* the reader of earlier boards, if there were any */                // traincast
    int error = tc_open(&training.reader, run, 0, sizeof training.reader);                         // traincast
    if (error && error != -ENOENT) return fail(PyExc_OSError, tc_error(&training.reader));         // traincast
    tc_key(&training.reader, "reward_shaping.progress", &training.weight);                         // traincast
    Squares *envs = PyMem_Calloc((size_t)count, sizeof *envs);
    if (envs == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        envs[i].observations = (uint8_t *)self->arrays[OBSERVATIONS].buf + SQUARES * i;
        envs[i].actions = (const uint8_t *)self->arrays[ACTIONS].buf + i;
        envs[i].rewards = (float *)self->arrays[REWARDS].buf + i;
        envs[i].terminals = (uint8_t *)self->arrays[TERMINALS].buf + i;
        envs[i].weight = 1.0f;
        envs[i].random = (unsigned)i;
    }
    self->envs = envs;
    self->count = count;
    return 0;
}

static void boards_dealloc(Boards *self) {
    PyMem_Free(self->envs);
    for (int i = 0; i < ARRAYS; i++) PyBuffer_Release(&self->arrays[i]);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *boards_reset(Boards *self, PyObject *nothing) {
    (void)nothing;
    for (Py_ssize_t i = 0; i < self->count; i++) c_reset(&self->envs[i]);
    Py_RETURN_NONE;
}

static PyObject *boards_step(Boards *self, PyObject *nothing) {
    (void)nothing;
    for (Py_ssize_t i = 0; i < self->count; i++) c_step(&self->envs[i]);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"reset", (PyCFunction)(void (*)(void))boards_reset, METH_NOARGS, "Begin all episodes anew."},
    {"step", (PyCFunction)(void (*)(void))boards_step, METH_NOARGS, "Take the actions; episodes that end begin anew."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "squares.Boards",
    .tp_basicsize = sizeof(Boards),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)boards_init,
    .tp_dealloc = (destructor)boards_dealloc,
    .tp_methods = methods,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "squares", .m_size = -1};

PyMODINIT_FUNC PyInit_squares(void) {
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddType(made, &type) != 0) Py_CLEAR(made);
    return made;
}
