Feature: Apples
  Scenario: Right
    Given nothing
    When 2 apples are bought
    Then there are 2 apples

  Scenario: Wrong
    Given nothing
    When 2 apples are bought
    Then there are 3 apples
