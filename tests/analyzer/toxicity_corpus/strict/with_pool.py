import concurrent.futures as futures

with futures.ThreadPoolExecutor() as pool:
    results = list(pool.map(str, [1]))
