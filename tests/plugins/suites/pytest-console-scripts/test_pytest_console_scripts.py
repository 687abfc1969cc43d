def test_right(script_runner):
    assert script_runner.run(["python", "-c", "print(1)"]).stdout == "1\n"


def test_wrong(script_runner):
    assert script_runner.run(["python", "-c", "print(1)"]).stdout == "2\n"
