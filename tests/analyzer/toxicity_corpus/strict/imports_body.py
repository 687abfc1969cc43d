def later():
    import body
