def double(x):
    if x > 2:
        return x * 2
    return x


def never():
    return 1
