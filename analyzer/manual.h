#pragma once

// The man page of tach-analyzer, made from its options when tach is built. Driven by manual_main.cpp alone.

#include <string>

namespace tach::analyzer {

std::string man_page();  // tach-analyzer.1, roff with the man macros

}  // namespace tach::analyzer
