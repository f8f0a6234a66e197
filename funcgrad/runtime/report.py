class Lowered:
    pass
