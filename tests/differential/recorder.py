def record(*a):
    raise NotImplementedError
