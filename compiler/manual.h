#pragma once

// The man page of tach-compiler, made from its options when tach is built. Driven by manual_main.cpp alone.

#include <string>

namespace tach::compiler {

std::string man_page();  // tach-compiler.1, roff with the man macros

}  // namespace tach::compiler
