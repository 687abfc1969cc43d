#include "analyzer/evaluate.h"

#include <string>

#include "tests/analyzer/folding.h"
#include "tests/catch.h"

using tach::analyzer::Module;
using tach::analyzer::Value;
using tach::analyzer::ValueKind;

namespace {

// What the last expression of a module comes to, as Python's repr has it; of what has none, its kind.
std::string fold(const std::string& source) {
    Module module(source + "\n");
    const Value value = module.value();
    if (const auto text = tach::analyzer::repr(value)) return *text;
    switch (value.kind()) {
        case ValueKind::kNamed:
            return "named " + std::string(value.text());
        case ValueKind::kReference:
            return "reference " + std::string(value.text());
        case ValueKind::kInstance:
            return "instance";
        case ValueKind::kPattern:
            return "pattern " + std::string(value.text());
        case ValueKind::kGenerator:
            return "generator";
        default:
            return value.has_items() ? "items" : "unknown";
    }
}

}  // namespace

TEST_CASE("integers in all bases, and beyond 64 bits") {
    CHECK(fold("0x_1F") == "31");
    CHECK(fold("0b101") == "5");
    CHECK(fold("0o17") == "15");
    CHECK(fold("1_000") == "1000");
    CHECK(fold("-12345678901234567890123") == "-12345678901234567890123");
    CHECK(fold("0xffffffffffffffffffff") == "unknown");
    CHECK(fold("1j") == "unknown");
}

TEST_CASE("floats are written with the fewest digits, as Python does") {
    CHECK(fold("1.") == "1.0");
    CHECK(fold(".5") == "0.5");
    CHECK(fold("1e15") == "1000000000000000.0");
    CHECK(fold("1e16") == "1e+16");
    CHECK(fold("123456789012345678.0") == "1.2345678901234568e+17");
    CHECK(fold("0.0001") == "0.0001");
    CHECK(fold("0.00001") == "1e-05");
    CHECK(fold("1.5e300") == "1.5e+300");
    CHECK(fold("5e-324") == "5e-324");
    CHECK(fold("-0.0") == "-0.0");
    CHECK(fold("0.1 + 0.2") == "0.30000000000000004");
    CHECK(fold("float('inf')") == "inf");
    CHECK(fold("float('nan')") == "nan");
}

TEST_CASE("escapes of strings") {
    CHECK(fold(R"('a\tb\n')") == R"('a\tb\n')");
    CHECK(fold(R"('\x41\101\u0042\U00000043')") == "'AABC'");
    CHECK(fold(R"('\d')") == R"('\\d')");
    CHECK(fold("'a\\\nb'") == "'ab'");
    CHECK(fold(R"(r'\n')") == R"('\\n')");
    CHECK(fold(R"('\xe9')") == "'\xc3\xa9'");
    CHECK(fold(R"('\N{BULLET}')") == "unknown");
    CHECK(fold("'''a\r\nb'''") == R"('a\nb')");
}

TEST_CASE("strings side by side are one, and bytes are not strings") {
    CHECK(fold("('a' \"b\" r'c')") == "'abc'");
    CHECK(fold(R"(b'\xff\u0041')") == R"(b'\xff\\u0041')");
    CHECK(fold("'a' b'b'") == "unknown");
}

TEST_CASE("formatted strings of known values") {
    CHECK(fold("x = 'q'\nf'{x}-{x!r}-{1 + 1}{{}}'") == "\"q-'q'-2{}\"");
    CHECK(fold("f'{1:>3}'") == "unknown");
    CHECK(fold("x = 1\nf'{x=}'") == "unknown");
}

TEST_CASE("arithmetic rounds as Python does, and overflow is unknown") {
    CHECK(fold("7 // -2") == "-4");
    CHECK(fold("-7 % 3") == "2");
    CHECK(fold("7 / 2") == "3.5");
    CHECK(fold("2 ** 10") == "1024");
    CHECK(fold("True + 1") == "2");
    CHECK(fold("2 ** 64") == "unknown");
    CHECK(fold("1 // 0") == "unknown");
}

TEST_CASE("sequences add, repeat, and are cut") {
    CHECK(fold("[1] + [2] * 2") == "[1, 2, 2]");
    CHECK(fold("[1] + (2,)") == "unknown");
    CHECK(fold("'abcdef'[1:-1:2]") == "'bd'");
    CHECK(fold("[1, 2, 3][::-1]") == "[3, 2, 1]");
    CHECK(fold("(1, 2, 3)[-1]") == "3");
    CHECK(fold("(1,)[1]") == "unknown");
    CHECK(fold("'h\xc3\xa9llo'[1]") == "'\xc3\xa9'");
    CHECK(fold("{'a': 1}['a']") == "1");
}

TEST_CASE("comparisons chain, and what cannot be compared is unknown") {
    CHECK(fold("1 < 2 < 3") == "True");
    CHECK(fold("1 == 1.0") == "True");
    CHECK(fold("'a' not in ['b']") == "True");
    CHECK(fold("(1, 'a') < (1, 'b')") == "True");
    CHECK(fold("1 < 'a'") == "unknown");
    CHECK(fold("None is None") == "True");
}

TEST_CASE("boolean operators give one of their operands") {
    CHECK(fold("None or 'd'") == "'d'");
    CHECK(fold("1 and 0") == "0");
    CHECK(fold("'x' if [] else 'y'") == "'y'");
}

TEST_CASE("comprehensions") {
    CHECK(fold("[x * y for x in range(3) if x for y in (10, 20)]") == "[10, 20, 20, 40]");
    CHECK(fold("{k: v for k, (v, _) in [('a', (1, 2))]}") == "{'a': 1}");
    CHECK(fold("list(x for x in 'ab')") == "['a', 'b']");
    CHECK(fold("[x for x in {1, 2}]") == "unknown");
    CHECK(fold("(x for x in 'ab')") == "generator");
}

TEST_CASE("methods of strings") {
    CHECK(fold("'{} {!r} {0}'.format(1, 'q')") == "unknown");
    CHECK(fold("'{1} {0!r}'.format(*('q', 2))") == "\"2 'q'\"");
    CHECK(fold("'{} {a}'.format(1, a=None)") == "'1 None'");
    CHECK(fold("'{:d}'.format(1)") == "unknown");
    CHECK(fold("'-'.join('abc')") == "'a-b-c'");
    CHECK(fold("' a  b '.split()") == "['a', 'b']");
    CHECK(fold("'a,,b'.split(',')") == "['a', '', 'b']");
    CHECK(fold("'aXa'.upper().replace('X', '-').strip('A')") == "'-'");
    CHECK(fold("'%s-%d-%r%%' % ('a', 3, 'b')") == "\"a-3-'b'%\"");
}

TEST_CASE("builtins") {
    CHECK(fold("len('\xe2\x82\xac')") == "1");
    CHECK(fold("list(enumerate('ab', start=1))") == "[(1, 'a'), (2, 'b')]");
    CHECK(fold("list(zip([1, 2], 'abc'))") == "[(1, 'a'), (2, 'b')]");
    CHECK(fold("sorted({'b', 'a'}, reverse=True)") == "['b', 'a']");
    CHECK(fold("list(map(str, (1, 2)))") == "['1', '2']");
    CHECK(fold("max(1, 5) + sum([1, 2]) + min([4])") == "12");
    CHECK(fold("list(reversed(range(0, 6, 2)))") == "[4, 2, 0]");
    CHECK(fold("[isinstance(x, str) for x in ('a', 1)]") == "[True, False]");
    CHECK(fold("type(None)") == "named NoneType");
}

TEST_CASE("itertools") {
    CHECK(fold("import itertools\nlist(itertools.chain([1], 'a'))") == "[1, 'a']");
    CHECK(fold("from itertools import chain as c\nlist(c.from_iterable([[1], (2,)]))") == "[1, 2]");
    CHECK(fold("import itertools\nlist(itertools.product('ab', repeat=2))") ==
          "[('a', 'a'), ('a', 'b'), ('b', 'a'), ('b', 'b')]");
    CHECK(fold("import itertools\nlist(itertools.combinations('abc', 2))") == "[('a', 'b'), ('a', 'c'), ('b', 'c')]");
    CHECK(fold("import itertools\nlist(itertools.permutations('abc', 2))") ==
          "[('a', 'b'), ('a', 'c'), ('b', 'a'), ('b', 'c'), ('c', 'a'), ('c', 'b')]");
}

TEST_CASE("a name counts if it is bound once, at the top, and plainly") {
    CHECK(fold("A = 1\nB = A + 1\nB") == "2");
    CHECK(fold("A = 1\nA = 2\nA") == "unknown");
    CHECK(fold("A = 1\nA += 1\nA") == "unknown");
    CHECK(fold("if x:\n    A = 1\nA") == "unknown");
    CHECK(fold("A, B = 1, 2\nA") == "unknown");
    CHECK(fold("A = 1\ndel A\nA") == "unknown");
    CHECK(fold("A = 1\ndef f():\n    global A\n    A = 2\nA") == "unknown");
    CHECK(fold("A = 1\ndef f():\n    A = 2\nA") == "1");
    CHECK(fold("A = A\nA") == "unknown");
    CHECK(fold("A: int = 1\nA") == "1");
    CHECK(fold("A = 1\n[A := 2]\nA") == "unknown");
    CHECK(fold("A = 1\nfrom x import *\nA") == "unknown");
    CHECK(fold("A = 1\nglobals()['A'] = 2\nA") == "unknown");
}

TEST_CASE("a list that something may change is unknown") {
    CHECK(fold("A = [1]\nA") == "[1]");
    CHECK(fold("A = [1]\nA.append(2)\nA") == "unknown");
    CHECK(fold("A = [1]\nA[0] = 2\nA") == "unknown");
    CHECK(fold("A = [1]\ndef f():\n    A.append(2)\nA") == "unknown");
    CHECK(fold("A = [1]\nB = A\nB.append(2)\nA") == "unknown");
    CHECK(fold("A = [1]\nB = [A]\nB[0].append(2)\nA") == "unknown");
    CHECK(fold("A = [1]\nf(A)\nA") == "unknown");
    CHECK(fold("A = [1]\nprint(len(A))\nA") == "[1]");
    CHECK(fold("A = [1]\nB = A + [2]\nB.append(3)\nA") == "[1]");
    CHECK(fold("A = 'a'\nf(A)\nA") == "'a'");
    CHECK(fold("A = (1, 2)\nf(A)\nA") == "(1, 2)");
}

TEST_CASE("the items of a list may be changed through a loop") {
    CHECK(fold("A = [[1]]\nfor a in A:\n    a.append(2)\nA") == "unknown");
    CHECK(fold("A = ['a']\nfor a in A:\n    a.append(2)\nA") == "['a']");
}

TEST_CASE("what a test does to a list comes after its collection") {
    CHECK(fold("A = [1]\ndef test_it():\n    f(A)\nA") == "[1]");
    CHECK(fold("A = [1]\ndef helper():\n    f(A)\nA") == "unknown");
    CHECK(fold("A = [1]\n@pytest.fixture\ndef helper():\n    f(A)\nA") == "[1]");
}

TEST_CASE("an iterator that has a name is gone through once only") {
    CHECK(fold("A = (x for x in 'ab')\nlist(A)") == "unknown");
    CHECK(fold("A = zip('ab')\nlist(A)") == "unknown");
    CHECK(fold("[list(x) for x in [zip('a')] * 2][0]") == "unknown");
}

TEST_CASE("functions, classes and builtins have a name") {
    CHECK(fold("def f(): pass\nf") == "named f");
    CHECK(fold("@d\ndef f(): pass\nf") == "unknown");
    CHECK(fold("if x:\n    def f(): pass\nf") == "unknown");
    CHECK(fold("class C: pass\nC") == "named C");
    CHECK(fold("class C(B): pass\nC") == "unknown");
    CHECK(fold("class C(ValueError): pass\nC") == "named C");
    CHECK(fold("class C(metaclass=M): pass\nC") == "unknown");
    CHECK(fold("def f(): pass\nf.__name__ = 'g'\nf") == "unknown");
    CHECK(fold("lambda: 1") == "named <lambda>");
    CHECK(fold("ValueError") == "named ValueError");
    CHECK(fold("IOError") == "unknown");
    CHECK(fold("import operator as o\no.lt") == "named lt");
    CHECK(fold("import re\nre.compile('a+')") == "pattern a+");
}

TEST_CASE("what an import binds is a reference") {
    CHECK(fold("from .helpers import thing\nthing") == "reference .helpers.thing");
    CHECK(fold("import a.b\na.b.c") == "reference a.b.c");
    CHECK(fold("from x import y\ny = 2\ny") == "unknown");
    CHECK(fold("from x import y\ny()") == "unknown");
}

TEST_CASE("objects without a name") {
    CHECK(fold("class C: pass\nC()") == "instance");
    CHECK(fold("class C(B): pass\nC()") == "unknown");
    CHECK(fold("class C:\n    def __init__(self): self.__name__ = 'x'\nC()") == "unknown");
    CHECK(fold("object()") == "instance");
    CHECK(fold("ValueError('x')") == "instance");
    CHECK(fold("...") == "instance");
}

TEST_CASE("a builtin that is bound in the module is none") {
    CHECK(fold("def repr(x): pass\nrepr(1)") == "unknown");
    CHECK(fold("from x import *\nlen('a')") == "unknown");
    CHECK(fold("[len for len in [1]]") == "[1]");
}

TEST_CASE("the names of a class are those above, and none of a comprehension's") {
    Module module("X = 'm'\nclass C:\n    X = 'c'\n    @d(X, [X for _ in 'a'], Y)\n    def f(): pass\n    Y = 1\n");
    const auto definition = module.last();
    const auto method = definition.field(tach::analyzer::Field::kBody).named_child(1);
    const auto arguments = Module::arguments(method);
    CHECK(repr(module.evaluator().evaluate(arguments.named_child(0), definition)) == "'c'");
    CHECK(repr(module.evaluator().evaluate(arguments.named_child(1), definition)) == "['m']");
    CHECK(module.evaluator().evaluate(arguments.named_child(2), definition).is_unknown());
}

TEST_CASE("nothing makes it overflow its stack or run forever") {
    const std::string deep = std::string(100'000, '(') + "1" + std::string(100'000, ')');
    CHECK(fold(deep) == "unknown");
    CHECK(fold(std::string(50'000, '-') + "1") == "unknown");
    CHECK(fold("range(10 ** 15)") == "unknown");
    CHECK(fold("'a' * 10 ** 9") == "unknown");
    CHECK(fold("[(a, b, c) for a in range(999) for b in range(999) for c in range(999)]") == "unknown");
    std::string doubling = "x0 = [1]\n";
    for (int i = 0; i < 60; ++i) {
        const std::string before = "x" + std::to_string(i);
        doubling.append("x").append(std::to_string(i + 1)).append(" = [");
        doubling.append(before).append(", ").append(before).append("]\n");
    }
    CHECK(fold(doubling + "str(x60)") == "unknown");
}
