#pragma once

// The part of a test's id between the brackets: what pytest's IdMaker (_pytest/python.py) makes of the values that a
// test is parametrized with. Alike for pytest 7.4 to 9.2; where these differ, an id is unknown:
//   - generated from a str or bytes of more than 100 characters (9.2: the argument's name and the index instead);
//   - pytest.param(id=...) of anything but printable ASCII without a backslash (7.4 does not escape it);
//   - duplicates that end with a digit, or whose numbered form is an id already (before 8: no underscore, no check);
//   - one name with a trailing comma, "x,", whose values are no pytest.param (9.2: each value is a row);
//   - indirect, ids or scope by position (9.1: refused).
//
// What a project can change, the caller must know: the hook pytest_make_parametrize_id and the options
// disable_test_id_escaping_and_forfeit_all_rights_to_community_support, strict_parametrization_ids (a duplicate is an
// error) and strict. So for an empty list of values: pytest makes one test of it, by empty_parameter_set_mark; here it
// is not known.
//
// What these parts become when several parametrizations meet in one test is the business of ids.h.

#include <vector>

#include "analyzer/evaluate.h"
#include "analyzer/facts.h"
#include "analyzer/literals.h"

namespace tach::analyzer {

// From the argument_list of a call of pytest.mark.parametrize. `class_definition`: of the class whose body the
// decorated method is in; null for what is at the top of the module, and for the decorators of a class at the top.
[[nodiscard]] Parameters parametrize(Evaluator& evaluator, Node arguments, Node class_definition,
                                     std::vector<Diagnostic>& diagnostics);

// From the expressions of a fixture's `params` and `ids` (null: none). `name` is the fixture's, for values that have no
// id of their own.
[[nodiscard]] Parameters fixture_parameters(Evaluator& evaluator, Text name, Node params, Node ids,
                                            Node class_definition, std::vector<Diagnostic>& diagnostics);

}  // namespace tach::analyzer
