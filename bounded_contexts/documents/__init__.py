"""Documents: data goes from one format into another, and nothing is lost in silence.

Value        what every format is read into and written from: domain/values.py.
Document     one value, or a stream of records that need not fit into memory.
Loss         a leaf that the target format cannot say as the source did; each is reported.
"""
