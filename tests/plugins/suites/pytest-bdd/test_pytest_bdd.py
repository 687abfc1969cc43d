from pytest_bdd import given, parsers, scenarios, then, when

scenarios("features")


@given("nothing", target_fixture="basket")
def nothing():
    return []


@when(parsers.parse("{count:d} apples are bought"))
def buy(basket, count):
    basket += ["apple"] * count


@then(parsers.parse("there are {count:d} apples"))
def there_are(basket, count):
    assert len(basket) == count
