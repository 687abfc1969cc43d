def go():
    import a
    import package

    package.start()
