"""The run-time type checker of the tests: beartype, to which an int is a float, as to Python's typing."""

from beartype import BeartypeConf, beartype

checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
