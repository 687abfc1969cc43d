from multiprocessing import Process, get_context


Process(target=print).start()
get_context("fork").Pool(2).map(str, [])
