import otherlib.part
