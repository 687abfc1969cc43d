"""The Python side of tach: the bridge between pytest and tach-supervisor.

Who is who (one Python process each, all forked from the first):

* zygote (`session`, `serve`): runs pytest up to the end of collection, then forks the others on request;
* controller (`controller`): replays every report, in collection order, to pytest's own plugins;
* base (`serve`): a zygote that has set up session fixtures; workers that need them are forked from it;
* worker (`worker`, `layers`, `engine`): runs tests, each from a pristine state;
* solo (`solo`): all of it in the zygote, for sessions that cannot be forked.

Everything they say to tach-supervisor goes through `link`, whose messages are described in shm/message.h.
"""
