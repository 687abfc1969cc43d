import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import direct
if False:
    threading.Thread()
if __name__ == "__main__":
    threading.Thread()
if not TYPE_CHECKING:
    pass
else:
    threading.Thread()
while 0:
    threading.Thread()
