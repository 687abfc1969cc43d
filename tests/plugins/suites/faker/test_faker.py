def test_right(faker):
    assert faker.random_int(1, 3) in (1, 2, 3)


def test_seeded(faker):
    first = faker.name()
    faker.seed_instance(0)
    assert faker.name() == first


def test_wrong(faker):
    assert faker.boolean(100) is False
