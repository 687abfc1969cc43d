#include "zygote/seen_functions.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/mapping.h"
#include "base/memfd.h"

// A table of 64-bit keys, each made of what an element belongs to and the element; two elements of one set never have
// the same key, and of different sets with a probability of 2^-64. A key that finds no place near its own takes
// another one's, which is then told once more: harmless, as is a race of two processes for one place.

namespace tach::zygote {
namespace {

// A guess: two keys for each of 250,000 lines or arcs, half full. Only what is used takes memory.
constexpr std::size_t kPlaces = std::size_t{1} << 20U;
constexpr std::size_t kProbes = 8;  // a cache line

using Place = std::atomic<std::uint64_t>;
static_assert(sizeof(Place) == sizeof(std::uint64_t) && Place::is_always_lock_free);

std::optional<base::Mapping> table;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): of this process

std::span<Place> places() {
    // New memory of the kernel is zeros, which is what an array of these atomics consists of.
    return {reinterpret_cast<Place*>(table->data()), kPlaces};  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
}

// The finalizer of splitmix64 (Steele, Lea, Flood, 2014): every bit of the result depends on every bit, and no two
// inputs have the same result.
std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
}

// An int, or a tuple of two that fit into 32 bits, as one number; false with an exception set if it is neither.
bool number_of(PyObject* element, std::uint64_t& number) {
    if (PyTuple_Check(element) == 0) {
        number = static_cast<std::uint64_t>(PyLong_AsLongLong(element));
        return PyErr_Occurred() == nullptr;
    }
    if (PyTuple_Size(element) != 2) {
        PyErr_SetString(PyExc_TypeError, "tach: a pair is wanted");
        return false;
    }
    const auto first = static_cast<std::uint64_t>(PyLong_AsLongLong(PyTuple_GetItem(element, 0)));
    const auto second = static_cast<std::uint64_t>(PyLong_AsLongLong(PyTuple_GetItem(element, 1)));
    number = (first << 32U) | (second & 0xffffffffU);
    return PyErr_Occurred() == nullptr;
}

bool key_of(std::uint64_t owner, PyObject* element, std::uint64_t& key) {
    std::uint64_t number = 0;
    if (!number_of(element, number)) return false;
    key = mixed(mixed(number) ^ owner);
    if (key == 0) key = 1;  // 0 is a free place
    return true;
}

bool contains(std::uint64_t key) {
    const auto all = places();
    for (std::size_t probe = 0; probe < kProbes; ++probe)
        if (all[(key + probe) % kPlaces].load(std::memory_order_relaxed) == key) return true;
    return false;
}

void insert(std::uint64_t key) {
    if (contains(key)) return;
    const auto all = places();
    for (std::size_t probe = 0; probe < kProbes; ++probe) {
        std::uint64_t free = 0;
        if (all[(key + probe) % kPlaces].compare_exchange_strong(free, key, std::memory_order_relaxed)) return;
    }
    all[key % kPlaces].store(key, std::memory_order_relaxed);
}

PyObject* seen_open(PyObject*, PyObject*) {
    auto memory = base::create_sealed_memfd("tach-seen", kPlaces * sizeof(Place));
    base::Result<base::Mapping> mapping = tl::unexpected(base::Error{});
    if (memory) mapping = base::Mapping::of(memory->get(), kPlaces * sizeof(Place), base::Access::kReadWrite);
    if (!memory || !mapping) {
        PyErr_SetString(PyExc_OSError, (memory ? mapping.error() : memory.error()).what.c_str());
        return nullptr;
    }
    table.emplace(*std::move(mapping));
    Py_RETURN_NONE;
}

// Calls `visit` with the key of each element until it returns false; false with an exception set.
template <class Visit>
bool each_key(std::uint64_t owner, PyObject* elements, Visit visit) {
    PyObject* const iterator = PyObject_GetIter(elements);
    if (iterator == nullptr) return false;
    bool more = true;
    while (PyObject* const element = more ? PyIter_Next(iterator) : nullptr) {
        std::uint64_t key = 0;
        more = key_of(owner, element, key) && visit(key, element);
        Py_DECREF(element);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() == nullptr;
}

bool arguments(PyObject* args, std::uint64_t& owner, PyObject*& elements) {
    long long number = 0;  // NOLINT(google-runtime-int): PyArg_ParseTuple's "L"
    if (PyArg_ParseTuple(args, "LO", &number, &elements) == 0) return false;
    owner = static_cast<std::uint64_t>(number);
    if (!table) PyErr_SetString(PyExc_RuntimeError, "tach: there is no table");
    return table.has_value();
}

PyObject* seen_all(PyObject*, PyObject* args) {
    std::uint64_t owner = 0;
    PyObject* elements = nullptr;
    if (!arguments(args, owner, elements)) return nullptr;
    bool all = true;
    const auto visit = [&all](std::uint64_t key, PyObject*) { return all = contains(key); };
    if (!each_key(owner, elements, visit)) return nullptr;
    return PyBool_FromLong(all ? 1 : 0);
}

PyObject* seen_missing(PyObject*, PyObject* args) {
    std::uint64_t owner = 0;
    PyObject* elements = nullptr;
    if (!arguments(args, owner, elements)) return nullptr;
    PyObject* missing = PyList_New(0);
    const auto visit = [missing](std::uint64_t key, PyObject* element) {
        return contains(key) || PyList_Append(missing, element) == 0;
    };
    if (missing == nullptr || !each_key(owner, elements, visit)) Py_CLEAR(missing);
    return missing;
}

PyObject* seen_add(PyObject*, PyObject* args) {
    std::uint64_t owner = 0;
    PyObject* elements = nullptr;
    if (!arguments(args, owner, elements)) return nullptr;
    const auto visit = [](std::uint64_t key, PyObject*) {
        insert(key);
        return true;
    };
    if (!each_key(owner, elements, visit)) return nullptr;
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"seen_open", seen_open, METH_NOARGS, nullptr},
    {"seen_all", seen_all, METH_VARARGS, nullptr},
    {"seen_missing", seen_missing, METH_VARARGS, nullptr},
    {"seen_add", seen_add, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* seen_functions() {
    return functions;
}

}  // namespace tach::zygote
