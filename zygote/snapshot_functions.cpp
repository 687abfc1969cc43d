#include "zygote/snapshot_functions.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "zygote/arenas.h"
#include "zygote/rewinder.h"

namespace tach::zygote {
namespace {

// Of this process; a fork must forget it, since its memory is not copied.
Rewinder* engine = nullptr;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

PyObject* text_of(const Refusal& refusal) {
    if (!refusal) return PyUnicode_FromString("");
    if (refusal.code == 0) return PyUnicode_FromString(refusal.why);
    return PyUnicode_FromFormat("%s: %s", refusal.why, std::strerror(refusal.code));  // NOLINT(concurrency-mt-unsafe)
}

bool is_open() {
    if (engine == nullptr) PyErr_SetString(PyExc_RuntimeError, "tach: this process has no snapshot engine");
    return engine != nullptr;
}

// Of a process that watches over another; the other inherits its page.
std::optional<Oracle> oracle;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

PyObject* oracle_open(PyObject*, PyObject*) {
    auto created = Oracle::create();
    if (!created) {
        PyErr_SetString(PyExc_OSError, created.error().what.c_str());
        return nullptr;
    }
    oracle.emplace(*std::move(created));
    Py_RETURN_NONE;
}

// The wait status of the child if it ended, or None after a stop, and what the oracle has found.
PyObject* oracle_watch(PyObject*, PyObject* args) {
    int child = 0;
    if (PyArg_ParseTuple(args, "i", &child) == 0) return nullptr;
    if (!oracle) {
        PyErr_SetString(PyExc_RuntimeError, "tach: this process has no oracle");
        return nullptr;
    }
    base::Result<Oracle::News> news;
    Py_BEGIN_ALLOW_THREADS news = oracle->watch(child);
    Py_END_ALLOW_THREADS if (!news) {
        PyErr_SetString(PyExc_OSError, news.error().what.c_str());
        return nullptr;
    }
    PyObject* differences = PyList_New(0);
    for (const std::string& difference : news->differences) {
        PyObject* text = PyUnicode_DecodeFSDefault(difference.c_str());
        const bool added = text != nullptr && differences != nullptr && PyList_Append(differences, text) == 0;
        Py_XDECREF(text);
        if (!added) Py_CLEAR(differences);
    }
    if (differences == nullptr) return nullptr;
    const unsigned item = oracle->note().item.load(std::memory_order_relaxed);
    if (!news->ended) return Py_BuildValue("(OIN)", Py_None, item, differences);
    return Py_BuildValue("(iIN)", news->status, item, differences);
}

PyObject* oracle_resume(PyObject*, PyObject* args) {
    int child = 0;
    if (PyArg_ParseTuple(args, "i", &child) == 0) return nullptr;
    Oracle::resume(child);
    Py_RETURN_NONE;
}

std::optional<Rewinder::Engine> engine_called(std::string_view name) {
    if (name == "wp-async") return Rewinder::Engine::kWpAsync;
    if (name == "cow") return Rewinder::Engine::kCow;
    if (name == "missing") return Rewinder::Engine::kMissing;
    return std::nullopt;
}

// "" or why there is none.
PyObject* snapshot_open(PyObject*, PyObject* args) {
    const char* name = nullptr;
    if (PyArg_ParseTuple(args, "s", &name) == 0) return nullptr;
    const auto kind = engine_called(name);
    if (!kind) return PyUnicode_FromFormat("there is no engine %s", name);
    // With that engine each page of the kernel's zeros would have to come from the supervisor.
    if (*kind != Rewinder::Engine::kMissing) arrange_arenas();
    auto created = Rewinder::create(*kind, oracle ? &oracle->note() : nullptr, supervisor_socket());
    if (!created) return PyUnicode_FromString(created.error().what.c_str());
    engine = *created;
    return PyUnicode_FromString("");
}

PyObject* snapshot_forget(PyObject*, PyObject*) {
    engine = nullptr;
    Py_RETURN_NONE;
}

PyObject* snapshot_push(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    return PyLong_FromLong(static_cast<long>(engine->push()));  // NOLINT(google-runtime-int)
}

PyObject* snapshot_passage(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    const Passage& passage = engine->passage();
    return Py_BuildValue("(KIy#)", static_cast<unsigned long long>(passage.position), passage.flags,
                         reinterpret_cast<const char*>(&passage.stats),  // NOLINT: its bytes
                         static_cast<Py_ssize_t>(sizeof passage.stats));
}

PyObject* snapshot_age(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    const Rewinder::Age age = engine->age();
    return Py_BuildValue("(Kn)", static_cast<unsigned long long>(age.rewinds), static_cast<Py_ssize_t>(age.growth));
}

PyObject* snapshot_refusal(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    return text_of(engine->refusal());
}

PyObject* snapshot_check(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    return text_of(engine->check());
}

PyObject* snapshot_same_descriptors(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    return PyBool_FromLong(engine->has_same_descriptors() ? 1 : 0);
}

PyObject* snapshot_rewind(PyObject*, PyObject* args) {
    unsigned long long position = 0;  // NOLINT(google-runtime-int): PyArg_ParseTuple's "K"
    unsigned int flags = 0;
    unsigned int imports = 0;
    if (PyArg_ParseTuple(args, "KII", &position, &flags, &imports) == 0 || !is_open()) return nullptr;
    engine->rewind(Passage{.position = position, .flags = flags, .imports = imports});
    Py_RETURN_NONE;
}

PyObject* snapshot_drop(PyObject*, PyObject*) {
    if (!is_open()) return nullptr;
    engine->drop();
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"oracle_open", oracle_open, METH_NOARGS, nullptr},
    {"oracle_watch", oracle_watch, METH_VARARGS, nullptr},
    {"oracle_resume", oracle_resume, METH_VARARGS, nullptr},
    {"snapshot_open", snapshot_open, METH_VARARGS, nullptr},
    {"snapshot_forget", snapshot_forget, METH_NOARGS, nullptr},
    {"snapshot_push", snapshot_push, METH_NOARGS, nullptr},
    {"snapshot_passage", snapshot_passage, METH_NOARGS, nullptr},
    {"snapshot_age", snapshot_age, METH_NOARGS, nullptr},
    {"snapshot_refusal", snapshot_refusal, METH_NOARGS, nullptr},
    {"snapshot_check", snapshot_check, METH_NOARGS, nullptr},
    {"snapshot_same_descriptors", snapshot_same_descriptors, METH_NOARGS, nullptr},
    {"snapshot_rewind", snapshot_rewind, METH_VARARGS, nullptr},
    {"snapshot_drop", snapshot_drop, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void tell_oracle(std::uint32_t item) {
    if (oracle) oracle->note().item.store(item, std::memory_order_relaxed);
}

PyMethodDef* snapshot_functions() {
    return functions;
}

}  // namespace tach::zygote
