"""The class that ops add their methods to. Its stub, ``tensor_methods.pyi``, is generated (``tools/make_stubs.py``)."""


class TensorMethods:
    """The methods of Tensor that ops declare."""
