// main() of the unit tests with Catch2 version 2, which is compiled into the program that uses it.

#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
