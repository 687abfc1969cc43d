def route(command):
    match command:
        case ["go", ("north" | "south") as way, *rest] if rest:
            return way
        case {"x": int(x), "y": -1.5e3, **others}:
            return x, others
        case Point(x=0, y=[_, _]) | None | "":
            return 0
        case _:
            import fallback
            return fallback.go()


match = case = type = 1
match[case:type] = match, case
