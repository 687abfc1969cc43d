x = f"{f'{f"{1 + 1}"}'}" f'{x!r:>{width}.{f"{precision}"}}' rf"\d{{{x}}}"
y = f"""{
    call(f'{a["b"]:%Y-%m-%d}')
} {z = } {lambda: 1} {{}} \N{DASH} \x41 \u1234"""
ids = [f"{a}-{b:03d}" for a in "ab" for b in range(2)]
bytes_ = rb"\x" b"\xff" B'a' U"b" "\ud800"
