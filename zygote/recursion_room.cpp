#include "zygote/recursion_room.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <climits>

namespace tach::zygote {
namespace {

// How much higher the limit is than is said. It is what lies below a test, so a rewind restores it.
int extra = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

// CPython's own sys.setrecursionlimit, which checks what it is given.
PyObject* set_limit = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

PyObject* getrecursionlimit(PyObject*, PyObject*) {
    return PyLong_FromLong(Py_GetRecursionLimit() - extra);
}

PyObject* setrecursionlimit(PyObject*, PyObject* limit) {
    const long wanted = PyLong_Check(limit) != 0 ? PyLong_AsLong(limit) : 0;  // NOLINT(google-runtime-int)
    if (wanted == -1 && PyErr_Occurred() != nullptr) PyErr_Clear();
    // What is none is CPython's to refuse, in its own words.
    if (wanted < 1 || wanted > INT_MAX - extra) return PyObject_CallFunctionObjArgs(set_limit, limit, nullptr);
    PyObject* const raised = PyLong_FromLong(wanted + extra);
    if (raised == nullptr) return nullptr;
    PyObject* const result = PyObject_CallFunctionObjArgs(set_limit, raised, nullptr);
    Py_DECREF(raised);
    return result;
}

PyMethodDef replacements[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"getrecursionlimit", getrecursionlimit, METH_NOARGS, nullptr},
    {"setrecursionlimit", setrecursionlimit, METH_O, nullptr},
};

bool replace(PyObject* sys, PyMethodDef& method) {
    PyObject* const original = PyObject_GetAttrString(sys, method.ml_name);
    PyObject* const text = original != nullptr ? PyObject_GetAttrString(original, "__doc__") : nullptr;
    PyObject* const name = PyUnicode_FromString("sys");
    bool done = false;
    if (text != nullptr && name != nullptr) {
        method.ml_doc = PyUnicode_Check(text) != 0 ? PyUnicode_AsUTF8AndSize(text, nullptr) : nullptr;
        PyObject* const function = PyCFunction_NewEx(&method, sys, name);
        done = function != nullptr && PyObject_SetAttrString(sys, method.ml_name, function) == 0;
        Py_XDECREF(function);
    }
    Py_XDECREF(name);
    // The text's and, for setting, the original's reference is kept.
    if (done && method.ml_meth == setrecursionlimit) set_limit = original;
    return done;
}

// To be called before anything else could take hold of the original functions.
PyObject* recursion_take_over(PyObject*, PyObject*) {
    PyObject* const sys = PyImport_ImportModule("sys");
    bool done = sys != nullptr;
    for (PyMethodDef& method : replacements) done = done && replace(sys, method);
    Py_XDECREF(sys);
    if (!done) return nullptr;
    Py_RETURN_NONE;
}

// So many frames lie below what runs now that are not below it under pytest.
PyObject* recursion_give_room(PyObject*, PyObject* args) {
    int frames = 0;
    if (PyArg_ParseTuple(args, "i", &frames) == 0) return nullptr;
    if (set_limit != nullptr && frames != extra) {
        Py_SetRecursionLimit(Py_GetRecursionLimit() - extra + frames);
        extra = frames;
    }
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"recursion_take_over", recursion_take_over, METH_NOARGS, nullptr},
    {"recursion_give_room", recursion_give_room, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* recursion_functions() {
    return functions;
}

}  // namespace tach::zygote
