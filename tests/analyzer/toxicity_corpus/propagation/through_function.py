from in_function import go

go()
