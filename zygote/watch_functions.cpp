#include "zygote/watch_functions.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace tach::zygote {
namespace {

// Objects of one root. Walking so many takes about half a millisecond; a suite's own results are fewer (a guess).
constexpr std::size_t kMostObjects = 20'000;
// Elements of one container that are looked at; of a longer one the first and the last ones, and how many there are.
constexpr Py_ssize_t kMostElements = 20'000;

// How an object is looked at that is not one of Python's own plain types; harness/_tach.pyi has them as WATCH_*.
enum WatchKind : unsigned {
    kOpaque = 0,           // by its address
    kInstance = 1U << 0,   // its attributes
    kIterable = 1U << 1,   // its elements, in their order
    kUnordered = 1U << 2,  // its elements, in any order
    kShown = 1U << 3,      // what repr() says
    kValue = 1U << 4,      // what its method getvalue() returns
    kBytes = 1U << 5,      // what its method tobytes() returns
};

struct Described {
    unsigned kind = kOpaque;
    PyObject* class_dict = nullptr;
    PyObject* slots = nullptr;  // a tuple
};

// Kept for ever, with a reference to each type: there are as many as classes of the suite.
std::unordered_map<PyTypeObject*, Described> described;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

class Fingerprint {
  public:
    Fingerprint(PyObject* describe, bool anew) : describe_(describe), anew_(anew) {}
    Fingerprint(const Fingerprint&) = delete;
    Fingerprint& operator=(const Fingerprint&) = delete;
    Fingerprint(Fingerprint&&) = delete;
    Fingerprint& operator=(Fingerprint&&) = delete;
    ~Fingerprint() {
        for (PyObject* object : held_) Py_DECREF(object);
    }

    // False: a Python error is set.
    [[nodiscard]] bool add(PyObject* object, PyObject* keys, PyObject* names);
    [[nodiscard]] std::uint64_t value() const { return hash_; }

  private:
    void mix(std::uint64_t word) {
        // The finaliser of MurmurHash3: each bit of the word reaches each bit of the sum.
        hash_ ^= word + 0x9e3779b97f4a7c15ULL + (hash_ << 6U) + (hash_ >> 2U);
        hash_ ^= hash_ >> 33U;
        hash_ *= 0xff51afd7ed558ccdULL;
        hash_ ^= hash_ >> 33U;
    }
    void mix_address(const void* address) { mix(reinterpret_cast<std::uintptr_t>(address)); }  // NOLINT
    void mix_result(PyObject* made);
    [[nodiscard]] bool mix_plain(PyObject* object);
    void reach(PyObject* object);
    void hold(PyObject* object);
    [[nodiscard]] bool drain();
    [[nodiscard]] bool open(PyObject* object);
    [[nodiscard]] bool open_described(PyObject* object);
    void open_sequence(PyObject* object, Py_ssize_t size, PyObject* (*item)(PyObject*, Py_ssize_t));
    [[nodiscard]] bool open_dict(PyObject* dict, bool attributes);
    [[nodiscard]] bool open_iterable(PyObject* object, bool ordered);
    void open_instance(PyObject* object, const Described& type);
    [[nodiscard]] const Described* describe(PyTypeObject* type);

    PyObject* describe_;
    bool anew_;
    std::unordered_set<PyTypeObject*> asked_;
    PyObject* names_ = nullptr;  // of the root at hand
    std::uint64_t hash_ = 0;
    std::deque<PyObject*> waiting_;
    std::unordered_set<PyObject*> seen_;
    std::vector<PyObject*> held_;  // made on the way: must not die, or another object could have its address
};

void Fingerprint::hold(PyObject* object) {
    held_.push_back(object);
}

// Takes the reference; null: an error, which counts as a value.
void Fingerprint::mix_result(PyObject* made) {
    if (made == nullptr) {
        PyErr_Clear();
        mix(1);
        return;
    }
    const Py_hash_t hash = PyObject_Hash(made);
    if (hash == -1) PyErr_Clear();
    mix(static_cast<std::uint64_t>(hash));
    Py_DECREF(made);
}

// Values that cannot change: two objects of the same value are the same. False: it is something else.
bool Fingerprint::mix_plain(PyObject* object) {
    if (object == Py_None || object == Py_True || object == Py_False) {
        mix_address(object);
        return true;
    }
    PyTypeObject* const type = Py_TYPE(object);
    if (type != &PyUnicode_Type && type != &PyLong_Type && type != &PyFloat_Type && type != &PyBytes_Type) return false;
    const Py_hash_t hash = PyObject_Hash(object);
    if (hash == -1) PyErr_Clear();
    mix_address(type);
    mix(static_cast<std::uint64_t>(hash));
    return true;
}

// What an object that was come to adds at once; its contents follow when it is its turn.
void Fingerprint::reach(PyObject* object) {
    if (mix_plain(object)) return;
    if (PyType_Check(object) != 0 || PyModule_Check(object) != 0) return mix_address(object);
    mix_address(Py_TYPE(object));
    if (seen_.size() >= kMostObjects) return mix_address(object);
    if (seen_.insert(object).second) waiting_.push_back(object);
}

void Fingerprint::open_sequence(PyObject* object, Py_ssize_t size, PyObject* (*item)(PyObject*, Py_ssize_t)) {
    mix(static_cast<std::uint64_t>(size));
    const Py_ssize_t head = size > kMostElements ? kMostElements / 2 : size;
    for (Py_ssize_t i = 0; i < head; ++i) reach(item(object, i));
    for (Py_ssize_t i = size > kMostElements ? size - kMostElements / 2 : size; i < size; ++i) reach(item(object, i));
}

// `attributes`: of an instance or a class, of which only those are looked at that somebody names.
bool Fingerprint::open_dict(PyObject* dict, bool attributes) {
    Py_ssize_t position = 0;
    Py_ssize_t left = kMostElements;
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    if (!attributes) mix(static_cast<std::uint64_t>(PyDict_Size(dict)));
    while (PyDict_Next(dict, &position, &key, &value) != 0 && left-- > 0) {
        if (attributes && names_ != nullptr) {
            const int named = PyUnicode_CheckExact(key) != 0 ? PySet_Contains(names_, key) : 1;
            if (named < 0) return false;
            if (named == 0) continue;
        }
        if (!mix_plain(key)) mix_address(key);
        reach(value);
    }
    return true;
}

bool Fingerprint::open_iterable(PyObject* object, bool ordered) {
    PyObject* const iterator = PyObject_GetIter(object);
    if (iterator == nullptr) return false;
    const std::uint64_t before = hash_;
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    while (PyObject* const element = PyIter_Next(iterator)) {
        ++count;
        if (count <= static_cast<std::uint64_t>(kMostElements)) {
            if (ordered) {
                reach(element);
            } else {
                hash_ = 0;
                if (!mix_plain(element)) mix_address(element);
                sum += hash_;
            }
        }
        Py_DECREF(element);  // the container has another one
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred() != nullptr) return false;
    if (!ordered) {
        hash_ = before;
        mix(sum);
    }
    mix(count);
    return true;
}

void Fingerprint::open_instance(PyObject* object, const Described& type) {
    PyObject* const dict = PyObject_GenericGetDict(object, nullptr);
    if (dict == nullptr) {
        PyErr_Clear();  // it has slots alone
    } else {
        if (PyDict_Check(dict) != 0 && !open_dict(dict, true)) PyErr_Clear();
        hold(dict);
    }
    const Py_ssize_t slots = type.slots != nullptr ? PyTuple_Size(type.slots) : 0;
    for (Py_ssize_t i = 0; i < slots; ++i) {
        PyObject* const descriptor = PyTuple_GetItem(type.slots, i);
        const auto get =
            reinterpret_cast<descrgetfunc>(PyType_GetSlot(Py_TYPE(descriptor), Py_tp_descr_get));  // NOLINT
        PyObject* const value =
            get != nullptr ? get(descriptor, object, reinterpret_cast<PyObject*>(Py_TYPE(object))) : nullptr;  // NOLINT
        if (value == nullptr) {
            PyErr_Clear();
            mix(0);
            continue;
        }
        reach(value);
        hold(value);
    }
    // What its class gathers is read by its methods as well; by its address, once.
    if (type.class_dict != nullptr && seen_.insert(type.class_dict).second) {
        if (!open_dict(type.class_dict, true)) PyErr_Clear();
    }
}

const Described* Fingerprint::describe(PyTypeObject* type) {
    const auto found = described.find(type);
    if (found != described.end() && !(anew_ && asked_.insert(type).second)) return &found->second;
    PyObject* const answer =
        PyObject_CallFunctionObjArgs(describe_, reinterpret_cast<PyObject*>(type), nullptr);  // NOLINT
    if (answer == nullptr) return nullptr;
    Described made;
    PyObject* class_dict = nullptr;
    PyObject* slots = nullptr;
    if (PyArg_ParseTuple(answer, "IOO!", &made.kind, &class_dict, &PyTuple_Type, &slots) == 0) {
        Py_DECREF(answer);
        return nullptr;
    }
    if (PyDict_Check(class_dict) != 0) {
        Py_INCREF(class_dict);
        made.class_dict = class_dict;
    }
    Py_INCREF(slots);
    made.slots = slots;
    asked_.insert(type);
    Py_DECREF(answer);
    if (found != described.end()) return &(found->second = made);
    Py_INCREF(reinterpret_cast<PyObject*>(type));  // NOLINT
    return &described.emplace(type, made).first->second;
}

bool Fingerprint::open_described(PyObject* object) {
    const Described* const type = describe(Py_TYPE(object));
    if (type == nullptr) return false;
    if (type->kind == kOpaque) mix_address(object);
    if ((type->kind & kIterable) != 0 && !open_iterable(object, true)) return false;
    if ((type->kind & kUnordered) != 0 && !open_iterable(object, false)) return false;
    if ((type->kind & kShown) != 0) mix_result(PyObject_Repr(object));
    if ((type->kind & kValue) != 0) mix_result(PyObject_CallMethod(object, "getvalue", nullptr));
    if ((type->kind & kBytes) != 0) mix_result(PyObject_CallMethod(object, "tobytes", nullptr));
    if ((type->kind & kInstance) != 0) open_instance(object, *type);
    return true;
}

bool Fingerprint::open(PyObject* object) {
    if (PyList_Check(object) != 0) {
        open_sequence(object, PyList_Size(object), PyList_GetItem);
    } else if (PyTuple_Check(object) != 0) {
        open_sequence(object, PyTuple_Size(object), PyTuple_GetItem);
    } else if (PyDict_Check(object) != 0) {
        if (!open_dict(object, false)) return false;
    } else if (PyByteArray_Check(object) != 0) {
        mix_result(PyBytes_FromStringAndSize(PyByteArray_AsString(object), PyByteArray_Size(object)));
    } else {
        return open_described(object);
    }
    const bool plain =
        PyList_CheckExact(object) != 0 || PyTuple_CheckExact(object) != 0 || PyDict_CheckExact(object) != 0;
    return plain || PyByteArray_CheckExact(object) != 0 || open_described(object);
}

bool Fingerprint::drain() {
    while (!waiting_.empty()) {
        PyObject* const object = waiting_.front();
        waiting_.pop_front();
        if (!open(object)) {
            // An object that cannot be looked at (it changes meanwhile) has an address.
            PyErr_Clear();
            mix_address(object);
        }
    }
    return true;
}

bool Fingerprint::add(PyObject* object, PyObject* keys, PyObject* names) {
    names_ = names == Py_None ? nullptr : names;
    if (keys == Py_None) {
        reach(object);
        return drain();
    }
    if (PyDict_Check(object) == 0) {
        PyErr_SetString(PyExc_TypeError, "what has keys is a dict");
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_Size(keys); ++i) {
        PyObject* const value = PyDict_GetItemWithError(object, PyTuple_GetItem(keys, i));
        if (value != nullptr) {
            reach(value);
        } else {
            if (PyErr_Occurred() != nullptr) return false;
            mix(2);
        }
    }
    return drain();
}

PyObject* watch_fingerprint(PyObject*, PyObject* args) {
    PyObject* roots = nullptr;
    PyObject* describe = nullptr;
    int anew = 0;
    if (PyArg_ParseTuple(args, "O!O|p", &PyTuple_Type, &roots, &describe, &anew) == 0) return nullptr;
    Fingerprint fingerprint(describe, anew != 0);
    for (Py_ssize_t i = 0; i < PyTuple_Size(roots); ++i) {
        PyObject* object = nullptr;
        PyObject* keys = nullptr;
        PyObject* names = nullptr;
        if (PyArg_ParseTuple(PyTuple_GetItem(roots, i), "OOO", &object, &keys, &names) == 0) return nullptr;
        if (keys != Py_None && PyTuple_Check(keys) == 0) {
            PyErr_SetString(PyExc_TypeError, "keys are a tuple or None");
            return nullptr;
        }
        if (!fingerprint.add(object, keys, names)) return nullptr;
    }
    return PyLong_FromUnsignedLongLong(fingerprint.value());
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"watch_fingerprint", watch_fingerprint, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* watch_functions() {
    return functions;
}

}  // namespace tach::zygote
