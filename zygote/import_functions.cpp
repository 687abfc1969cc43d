#include "zygote/import_functions.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_status.h"
#include "base/whole_file.h"
#include "shm/bytecode_image.h"
#include "zygote/descriptors.h"
#include "zygote/module_directories.h"

namespace tach::zygote {
namespace {

using shm::bytecode::Image;
using shm::bytecode::Kind;

struct Release {
    void operator()(PyObject* object) const { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Release>;

Owned share(PyObject* object) {
    Py_XINCREF(object);
    return Owned(object);
}

Owned attribute(PyObject* object, const char* name) {
    return Owned(object != nullptr ? PyObject_GetAttrString(object, name) : nullptr);
}

std::optional<std::string_view> text_of(PyObject* object) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_Check(object) != 0 ? PyUnicode_AsUTF8AndSize(object, &size) : nullptr;
    if (text == nullptr) {
        PyErr_Clear();
        return std::nullopt;
    }
    return std::string_view(text, static_cast<std::size_t>(size));
}

// Not in the limited API, and without the audit event of marshal.loads.
using Unmarshal = PyObject* (*)(const char*, Py_ssize_t);

// PyBUF_READ, in the limited API since 3.11.
constexpr int kReadOnly = 0x100;

// Methods of SourceFileLoader that loading from the image leaves out. Who replaces one wants it to be called.
constexpr std::array kLeftOut{"exec_module", "get_code", "source_to_code", "get_data", "path_stats", "_cache_bytecode"};

// What the hook needs of importlib, taken when it is installed.
struct Importlib {
    Owned path_finder;
    Owned find_spec;  // the original, a function of (cls, fullname, path, target)
    Owned module_spec;
    Owned file_finder;
    Owned loader;      // SourceFileLoader
    Owned loaders;     // of an ordinary FileFinder
    Owned path_hooks;  // a copy
    Owned call_with_frames_removed;
    Owned exec;
    Owned cache_from_source;
    Owned marshal_loads;
    Unmarshal unmarshal = nullptr;
    std::array<Owned, kLeftOut.size()> left_out;
    std::string cached_suffix;  // ".cpython-311.pyc"
};

struct Hook {
    // Never given up: loaders point into it.
    std::optional<Image> image;
    bool is_on = false;
    bool is_paranoid = false;
    std::optional<Importlib> importlib;
    std::optional<ModuleDirectories> directories;
    unsigned long hits = 0;   // NOLINT(google-runtime-int): for Py_BuildValue
    unsigned long stale = 0;  // NOLINT(google-runtime-int)
    bool is_damaged = false;
};

// Of this process. Never destroyed: imports may come while the interpreter ends.
Hook& hook() {
    static auto* const it = new Hook;
    return *it;
}

// --- what the image has ---------------------------------------------------------------------------------------------

bool has_contents(const std::string& path, const shm::bytecode::Hash& hash) {
    const auto source = base::read_file(path);
    return source && shm::bytecode::Hash::of(*source) == hash;
}

// The code of a source, if it is what would be compiled from it now.
std::optional<std::string_view> current_code(Kind kind, const std::string& path) {
    Hook& self = hook();
    const auto module = self.image->find(kind, path);
    if (!module) return std::nullopt;
    const base::FileStatus status = base::status_at(AT_FDCWD, path.c_str());
    if (status.kind != base::FileKind::kFile) return std::nullopt;
    const bool is_known = !self.is_paranoid && module->signature.matches(status);
    if (!is_known && !has_contents(path, module->hash)) {
        ++self.stale;
        return std::nullopt;
    }
    if (module->code.empty()) return std::nullopt;
    if (!self.image->is_intact(*module)) {
        self.is_damaged = true;
        self.is_on = false;
        return std::nullopt;
    }
    ++self.hits;
    return module->code;
}

Owned unmarshalled(std::string_view code) {
    const Importlib& lib = *hook().importlib;
    const auto size = static_cast<Py_ssize_t>(code.size());
    if (lib.unmarshal != nullptr) return Owned(lib.unmarshal(code.data(), size));
    const Owned view(PyMemoryView_FromMemory(const_cast<char*>(code.data()), size, kReadOnly));  // NOLINT
    if (!view) return {};
    return Owned(PyObject_CallFunctionObjArgs(lib.marshal_loads.get(), view.get(), nullptr));
}

// --- loading --------------------------------------------------------------------------------------------------------

constexpr const char* kCodeCapsule = "tach.code";

// exec_module of one loader: `self` is (loader, capsule of the code's address, its size). Afterwards the loader is as
// any other, so that a second call does what it always did.
PyObject* exec_module(PyObject* self, PyObject* module) {
    const Importlib& lib = *hook().importlib;
    PyObject* const loader = PyTuple_GetItem(self, 0);
    const auto* const start = static_cast<const char*>(PyCapsule_GetPointer(PyTuple_GetItem(self, 1), kCodeCapsule));
    const std::size_t size = PyLong_AsSize_t(PyTuple_GetItem(self, 2));
    const Owned keep = share(self);
    if (PyObject_SetAttrString(loader, "exec_module", nullptr) != 0) PyErr_Clear();
    const Owned code = unmarshalled({start, size});
    const Owned names = attribute(module, "__dict__");
    if (!code || !names) {
        // A code object that cannot be read although its hash is right: let the source speak.
        if (!names) return nullptr;
        PyErr_Clear();
        return PyObject_CallMethod(loader, "exec_module", "O", module);
    }
    // By importlib's own function: from its frames the interpreter knows where a traceback of an import ends.
    return PyObject_CallFunctionObjArgs(lib.call_with_frames_removed.get(), lib.exec.get(), code.get(), names.get(),
                                        nullptr);
}

PyMethodDef exec_module_definition{"exec_module", exec_module, METH_O,
                                   nullptr};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

bool attach_code(PyObject* loader, std::string_view code) {
    // A capsule does not own what it points to, and must not point to nothing.
    const Owned start(PyCapsule_New(const_cast<char*>(code.data()), kCodeCapsule, nullptr));  // NOLINT
    const Owned size(PyLong_FromSize_t(code.size()));
    if (!start || !size) return false;
    const Owned self(PyTuple_Pack(3, loader, start.get(), size.get()));
    const Owned function(self ? PyCFunction_NewEx(&exec_module_definition, self.get(), nullptr) : nullptr);
    return function && PyObject_SetAttrString(loader, "exec_module", function.get()) == 0;
}

// What importlib.util.spec_from_file_location makes of a source.
struct Found {
    std::string source;
    std::string package;  // its directory; "": no package
    std::string_view code;
};

// What cache_from_source gives, which takes longer than all the rest.
Owned cached_path(PyObject* path, const std::string& source) {
    const Importlib& lib = *hook().importlib;
    PyObject* const prefix = PySys_GetObject("pycache_prefix");
    if (prefix != nullptr && prefix != Py_None) {
        return Owned(PyObject_CallFunctionObjArgs(lib.cache_from_source.get(), path, nullptr));
    }
    const std::size_t slash = source.rfind('/');
    const std::string cached =
        source.substr(0, slash) + "/__pycache__" + source.substr(slash, source.size() - slash - 3) + lib.cached_suffix;
    return Owned(PyUnicode_DecodeFSDefault(cached.c_str()));
}

Owned spec_of(PyObject* name, const Found& found) {
    const Importlib& lib = *hook().importlib;
    const Owned path(PyUnicode_DecodeFSDefault(found.source.c_str()));
    if (!path) return {};
    Owned loader(PyObject_CallFunctionObjArgs(lib.loader.get(), name, path.get(), nullptr));
    if (!loader || !attach_code(loader.get(), found.code)) return {};
    const Owned arguments(PyTuple_Pack(2, name, loader.get()));
    const Owned keywords(Py_BuildValue("{sO}", "origin", path.get()));
    if (!arguments || !keywords) return {};
    Owned spec(PyObject_Call(lib.module_spec.get(), arguments.get(), keywords.get()));
    const Owned cached = cached_path(path.get(), found.source);
    if (!spec || !cached || PyObject_SetAttrString(spec.get(), "_set_fileattr", Py_True) != 0 ||
        PyObject_SetAttrString(spec.get(), "cached", cached.get()) != 0) {
        return {};
    }
    if (!found.package.empty()) {
        const Owned locations(Py_BuildValue("[N]", PyUnicode_DecodeFSDefault(found.package.c_str())));
        if (!locations || PyObject_SetAttrString(spec.get(), "submodule_search_locations", locations.get()) != 0) {
            return {};
        }
    }
    return spec;
}

// --- finding --------------------------------------------------------------------------------------------------------

enum class Sight : std::uint8_t { kHere, kNotHere, kUnclear };

// Whether the entry of a search path is looked at by an ordinary FileFinder, or would be.
bool is_ordinary(PyObject* entry, PyObject* cache, bool& is_skipped) {
    const Importlib& lib = *hook().importlib;
    PyObject* const finder = PyDict_GetItemWithError(cache, entry);
    if (finder == Py_None) {
        is_skipped = true;  // nobody feels responsible
        return true;
    }
    if (finder == nullptr) {
        PyErr_Clear();
        PyObject* const hooks = PySys_GetObject("path_hooks");
        return hooks != nullptr && PyObject_RichCompareBool(hooks, lib.path_hooks.get(), Py_EQ) == 1;
    }
    if (reinterpret_cast<PyObject*>(Py_TYPE(finder)) != lib.file_finder.get()) return false;  // NOLINT
    const Owned loaders = attribute(finder, "_loaders");
    return loaders && PyObject_RichCompareBool(loaders.get(), lib.loaders.get(), Py_EQ) == 1;
}

// What FileFinder.find_spec would find in the directory.
Sight look_into(const std::string& directory, std::string_view name, bool is_cached, Found& found) {
    using State = ModuleDirectories::State;
    ModuleDirectories& directories = *hook().directories;
    const auto answer = directories.look(directory, name);
    // What importlib makes of a path that is no directory it remembers: it is to see it first.
    if (answer.state == State::kNone) return is_cached ? Sight::kNotHere : Sight::kUnclear;
    if (answer.state != State::kListed) return Sight::kUnclear;
    if (answer.holds == 0) return Sight::kNotHere;
    if (answer.holds == kHasEntry) {
        const std::string package = directory + '/' + std::string(name);
        const auto inner = directories.look(package, "__init__");
        if (inner.state == State::kNoDirectory || inner.state == State::kNone) return Sight::kNotHere;
        if (inner.state != State::kListed || inner.holds != kHasSource) return Sight::kUnclear;
        found.source = package + "/__init__.py";
        found.package = package;
    } else if (answer.holds == kHasSource) {
        found.source = directory + '/' + std::string(name) + ".py";
    } else {
        return Sight::kUnclear;
    }
    const auto code = current_code(Kind::kPlain, found.source);
    if (!code) return Sight::kUnclear;
    found.code = *code;
    return Sight::kHere;
}

bool is_untouched() {
    const Importlib& lib = *hook().importlib;
    for (std::size_t i = 0; i < kLeftOut.size(); ++i) {
        const Owned now = attribute(lib.loader.get(), kLeftOut[i]);
        if (!now || now.get() != lib.left_out[i].get()) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

// The spec, or null: importlib is to look for itself.
Owned find_in_image(PyObject* fullname, PyObject* path) {
    const auto name = text_of(fullname);
    PyObject* const cache = PySys_GetObject("path_importer_cache");
    if (!name || cache == nullptr || PyDict_CheckExact(cache) == 0 || !is_untouched()) return {};
    if (path == Py_None) path = PySys_GetObject("path");
    if (path == nullptr || PyList_CheckExact(path) == 0) return {};
    const std::size_t dot = name->rfind('.');
    const std::string_view tail = dot == std::string_view::npos ? *name : name->substr(dot + 1);
    for (Py_ssize_t i = 0; i < PyList_Size(path); ++i) {
        PyObject* const entry = PyList_GetItem(path, i);
        const auto directory = text_of(entry);
        if (!directory || directory->size() < 2 || directory->front() != '/' || directory->back() == '/') return {};
        bool is_skipped = false;
        if (!is_ordinary(entry, cache, is_skipped)) return {};
        if (is_skipped) continue;
        Found found;
        const bool is_cached = PyDict_GetItemWithError(cache, entry) != nullptr;
        switch (look_into(std::string(*directory), tail, is_cached, found)) {
            case Sight::kNotHere:
                continue;
            case Sight::kUnclear:
                return {};
            case Sight::kHere:
                return spec_of(fullname, found);
        }
    }
    return {};
}

// PathFinder.find_spec(fullname, path=None, target=None), a class method.
PyObject* find_spec(PyObject*, PyObject* args, PyObject* keywords) {
    const Importlib& lib = *hook().importlib;
    PyObject* cls = nullptr;
    PyObject* fullname = nullptr;
    PyObject* path = Py_None;
    PyObject* target = Py_None;
    static std::array names{const_cast<char*>(""), const_cast<char*>("fullname"), const_cast<char*>("path"),  // NOLINT
                            const_cast<char*>("target"), static_cast<char*>(nullptr)};                        // NOLINT
    const bool is_understood =
        PyArg_ParseTupleAndKeywords(args, keywords, "OO|OO", names.data(), &cls, &fullname, &path, &target) != 0;
    if (!is_understood) {
        PyErr_Clear();
    } else if (hook().is_on && cls == lib.path_finder.get()) {
        if (Owned spec = find_in_image(fullname, path)) return spec.release();
        PyErr_Clear();
    }
    return PyObject_Call(lib.find_spec.get(), args, keywords);
}

PyMethodDef find_spec_definition{"find_spec", reinterpret_cast<PyCFunction>(find_spec),
                                 METH_VARARGS | METH_KEYWORDS,  // NOLINT
                                 nullptr};

// --- the module's functions -----------------------------------------------------------------------------------------

PyObject* bytecode_open(PyObject*, PyObject* args) {
    const char* path = nullptr;
    const char* key = nullptr;
    int paranoid = 0;
    if (PyArg_ParseTuple(args, "ssp", &path, &key, &paranoid) == 0) return nullptr;
    auto image = Image::open(path, kLowestOwnDescriptor);
    if (!image) {
        const std::string reason = (image.error().code == ENOENT ? " " : "") + image.error().what;
        return PyUnicode_DecodeFSDefault(reason.c_str());
    }
    if (image->interpreter_key() != key) return PyUnicode_FromString(" it is of another interpreter");
    hook().image.emplace(*std::move(image));
    hook().is_paranoid = paranoid != 0;
    return PyUnicode_FromString("");
}

std::optional<std::vector<std::string>> other_suffixes(PyObject* machinery) {
    const Owned all(machinery != nullptr ? PyObject_CallMethod(machinery, "all_suffixes", nullptr) : nullptr);
    if (!all || PyList_Check(all.get()) == 0) return std::nullopt;
    std::vector<std::string> suffixes;
    for (Py_ssize_t i = 0; i < PyList_Size(all.get()); ++i) {
        const auto suffix = text_of(PyList_GetItem(all.get(), i));
        if (suffix && *suffix != ".py") suffixes.emplace_back(*suffix);
    }
    return suffixes;
}

// The loaders of an ordinary FileFinder and what a compiled file is called, as this interpreter has them.
bool learn_details(Importlib& lib, PyObject* external) {
    const Owned loaders(PyObject_CallMethod(external, "_get_supported_file_loaders", nullptr));
    const Owned finder = attribute(external, "FileFinder");
    if (!loaders || !finder) return false;
    const Owned directory(PyUnicode_FromString("/"));
    const Owned arguments(PySequence_Tuple(loaders.get()));
    if (!directory || !arguments) return false;
    const Owned first(PyTuple_Pack(1, directory.get()));
    const Owned all(first ? PySequence_Concat(first.get(), arguments.get()) : nullptr);
    const Owned sample(all ? PyObject_Call(finder.get(), all.get(), nullptr) : nullptr);
    lib.loaders = attribute(sample.get(), "_loaders");
    const Owned cached(PyObject_CallMethod(external, "cache_from_source", "s", "/a/x.py"));
    const auto text = cached ? text_of(cached.get()) : std::nullopt;
    const std::size_t name = text ? text->rfind("/x.") : std::string_view::npos;
    if (!lib.loaders || name == std::string_view::npos) return false;
    lib.cached_suffix = text->substr(name + 2);
    return true;
}

std::optional<Importlib> take_importlib() {
    const Owned bootstrap(PyImport_ImportModule("_frozen_importlib"));
    const Owned external(PyImport_ImportModule("_frozen_importlib_external"));
    const Owned builtins(PyImport_ImportModule("builtins"));
    const Owned marshal(PyImport_ImportModule("marshal"));
    if (!bootstrap || !external || !builtins || !marshal) return std::nullopt;
    Importlib lib;
    lib.path_finder = attribute(external.get(), "PathFinder");
    const Owned bound = attribute(lib.path_finder.get(), "find_spec");
    lib.find_spec = attribute(bound.get(), "__func__");
    lib.module_spec = attribute(bootstrap.get(), "ModuleSpec");
    lib.file_finder = attribute(external.get(), "FileFinder");
    lib.loader = attribute(external.get(), "SourceFileLoader");
    lib.call_with_frames_removed = attribute(bootstrap.get(), "_call_with_frames_removed");
    lib.exec = attribute(builtins.get(), "exec");
    lib.cache_from_source = attribute(external.get(), "cache_from_source");
    lib.marshal_loads = attribute(marshal.get(), "loads");
    lib.unmarshal = reinterpret_cast<Unmarshal>(::dlsym(RTLD_DEFAULT, "PyMarshal_ReadObjectFromString"));  // NOLINT
    PyObject* const hooks = PySys_GetObject("path_hooks");
    lib.path_hooks.reset(hooks != nullptr ? PySequence_List(hooks) : nullptr);
    for (std::size_t i = 0; i < kLeftOut.size(); ++i) {
        lib.left_out[i] = attribute(lib.loader.get(), kLeftOut[i]);
        if (!lib.left_out[i]) return std::nullopt;
    }
    const bool is_whole = lib.find_spec && lib.module_spec && lib.file_finder && lib.call_with_frames_removed &&
                          lib.exec && lib.cache_from_source && lib.marshal_loads && lib.path_hooks;
    if (!is_whole || !learn_details(lib, external.get())) return std::nullopt;
    return lib;
}

// An importlib that is not as expected is left as it is: None is returned all the same.
PyObject* bytecode_install(PyObject*, PyObject*) {
    Hook& self = hook();
    const Owned machinery(PyImport_ImportModule("importlib.machinery"));
    auto suffixes = other_suffixes(machinery.get());
    auto lib = suffixes ? take_importlib() : std::nullopt;
    PyErr_Clear();
    if (!lib || !self.image) Py_RETURN_NONE;
    self.importlib = std::move(lib);
    self.directories.emplace(*std::move(suffixes));
    const Owned function(PyCFunction_NewEx(&find_spec_definition, nullptr, nullptr));
    const Owned builtins(PyImport_ImportModule("builtins"));
    const Owned method(function && builtins ? PyObject_CallMethod(builtins.get(), "classmethod", "O", function.get())
                                            : nullptr);
    if (!method || PyObject_SetAttrString(self.importlib->path_finder.get(), "find_spec", method.get()) != 0) {
        return nullptr;
    }
    self.is_on = true;
    Py_RETURN_NONE;
}

PyObject* bytecode_rewritten(PyObject*, PyObject* path) {
    const auto text = text_of(path);
    if (!text || !hook().is_on) Py_RETURN_NONE;
    const auto code = current_code(Kind::kRewritten, std::string(*text));
    Owned object = code ? unmarshalled(*code) : Owned();
    if (object) return object.release();
    PyErr_Clear();
    Py_RETURN_NONE;
}

PyObject* bytecode_rewriter_key(PyObject*, PyObject*) {
    const std::string_view key = hook().image ? hook().image->rewriter_key() : std::string_view();
    return PyUnicode_FromStringAndSize(key.data(), static_cast<Py_ssize_t>(key.size()));
}

PyObject* bytecode_has(PyObject*, PyObject* args) {
    int rewritten = 0;
    const char* path = nullptr;
    Py_ssize_t size = 0;
    if (PyArg_ParseTuple(args, "ps#", &rewritten, &path, &size) == 0) return nullptr;
    const Kind kind = rewritten != 0 ? Kind::kRewritten : Kind::kPlain;
    const bool has = hook().image && hook().image->find(kind, {path, static_cast<std::size_t>(size)});
    return PyBool_FromLong(has ? 1 : 0);
}

PyObject* bytecode_counts(PyObject*, PyObject*) {
    const Hook& self = hook();
    return Py_BuildValue("(kki)", self.hits, self.stale, self.is_damaged ? 1 : 0);
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"bytecode_open", bytecode_open, METH_VARARGS, nullptr},
    {"bytecode_install", bytecode_install, METH_NOARGS, nullptr},
    {"bytecode_rewritten", bytecode_rewritten, METH_O, nullptr},
    {"bytecode_rewriter_key", bytecode_rewriter_key, METH_NOARGS, nullptr},
    {"bytecode_has", bytecode_has, METH_VARARGS, nullptr},
    {"bytecode_counts", bytecode_counts, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* import_functions() {
    return functions;
}

}  // namespace tach::zygote
