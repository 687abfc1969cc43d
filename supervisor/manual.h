#pragma once

// What is generated from the table of options (options.h) when tach is built: the man page and the shell
// completions. Driven by manual_main.cpp alone; nothing here is part of a run.

#include <string>

namespace tach::supervisor {

std::string man_page();         // tach-supervisor.1, roff with the man macros
std::string bash_completion();  // for share/bash-completion/completions/tach-supervisor
std::string zsh_completion();   // for share/zsh/site-functions/_tach-supervisor

}  // namespace tach::supervisor
