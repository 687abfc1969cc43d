import os


def test_patch(mocker):
    mocker.patch("os.getcwd", return_value="here")
    assert os.getcwd() == "here"


def test_put_back():
    assert os.getcwd() != "here"


def test_spy(mocker):
    spy = mocker.spy(os.path, "join")
    os.path.join("a", "b")
    spy.assert_called_once_with("a", "b")


def test_wrong(mocker):
    mocker.Mock(name="it").assert_called_once()
