from typing import TypeVar

type Pair[A: (int, str), *Ts, **P] = tuple[A, *Ts]


class Box[T: int](Base[T], metaclass=Meta, **options):
    value: "list[T]" = []
    other: int

    def get[U](self, *args: *Ts, default: U | None = None, **kwargs: P.kwargs) -> T: ...


try:
    pass
except* (ValueError, OSError) as group:
    raise ExceptionGroup("x", [1]) from group
