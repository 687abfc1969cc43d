#pragma once

// Why a test is not certain before pytest has collected it: bits, since several may hold at once.

#include <array>
#include <cstdint>

#include "analyzer/facts.h"

namespace tach::analyzer {

enum class Dynamic : std::uint32_t {
    kNothing = 0,
    kConditional = 1U << 0U,
    kParameters = 1U << 1U,
    kDecorator = 1U << 2U,
    kBaseClass = 1U << 3U,
    kGenerated = 1U << 4U,
    kStarImport = 1U << 5U,
    kHook = 1U << 6U,
    kModuleSkip = 1U << 7U,
    kValue = 1U << 8U,
    kIncomplete = 1U << 9U,
    kDuplicate = 1U << 10U,
    kDoctest = 1U << 11U,
    kFixture = 1U << 12U,
    kOutside = 1U << 13U,
    kYield = 1U << 14U,
    kPossibleTestCase = 1U << 15U,
    kModuleName = 1U << 16U,
};

constexpr Dynamic operator|(Dynamic one, Dynamic other) {
    return static_cast<Dynamic>(static_cast<unsigned>(one) | static_cast<unsigned>(other));
}
constexpr Dynamic& operator|=(Dynamic& one, Dynamic other) {
    return one = one | other;
}
constexpr bool has(Dynamic all, Dynamic wanted) {
    return (static_cast<unsigned>(all) & static_cast<unsigned>(wanted)) != 0;
}

struct DynamicText {
    Dynamic bit;
    Text text;
};

// In the order of the bits. For people, after "only pytest can tell: ".
inline constexpr std::array<DynamicText, 17> kDynamicTexts{{
    {Dynamic::kConditional, "defined or imported under a condition"},
    {Dynamic::kParameters, "its parameters are computed"},
    {Dynamic::kDecorator, "a decorator may have replaced it"},
    {Dynamic::kBaseClass, "a base class outside of the project"},
    {Dynamic::kGenerated, "tests are generated when the module is imported or collected"},
    {Dynamic::kStarImport, "a star import"},
    {Dynamic::kHook, "a hook of a plugin or conftest.py changes what is collected"},
    {Dynamic::kModuleSkip, "the module may skip itself when it is imported"},
    {Dynamic::kValue, "a value decides whether it is a test"},
    {Dynamic::kIncomplete, "the file could not be read as a whole"},
    {Dynamic::kDuplicate, "another test has the same id"},
    {Dynamic::kDoctest, "a doctest"},
    {Dynamic::kFixture, "asks for a fixture that is unknown, computed or conditional"},
    {Dynamic::kOutside, "imported from outside of the project"},
    {Dynamic::kYield, "a test that yields"},
    {Dynamic::kPossibleTestCase, "a base class outside of the project may be a unittest.TestCase"},
    {Dynamic::kModuleName, "its module cannot be imported by its name, or another one has the same"},
}};

}  // namespace tach::analyzer
